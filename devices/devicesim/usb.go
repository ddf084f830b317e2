package devicesim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"unicode/utf16"
)

// USBIdentity is what a simulated USB device says it is.
type USBIdentity struct {
	VID, PID     uint16
	Manufacturer string
	Product      string
	Serial       string
}

// USBDevice is a simulated USB device. The kernel talks to it in requests (URBs), as in its own USB/IP protocol (kernel,
// Documentation/usb/usbip_protocol.rst). Replug hands it to this machine's kernel; ServeURBs serves any other connection.
// For the bulk pipes of a printer or a serial device, Read and Write are the device's end of the cable. Methods are safe
// for concurrent use.
type USBDevice struct {
	id            USBIdentity
	device        []byte            // device descriptor
	configuration []byte            // configuration with all below it
	others        map[uint16][]byte // further descriptors, by type<<8 | interface
	control       func(usbSetup, []byte) (answer []byte, ok bool)
	streamIn      byte // number of the IN endpoint that Write feeds

	mu      sync.Mutex
	changed *sync.Cond
	conn    io.ReadWriteCloser // nil while unplugged
	detach  func() error
	closed  bool
	reads   map[byte][]usbURB // IN requests that wait for data, by endpoint
	queued  map[byte][][]byte // data that waits for IN requests
	writes  []usbURB          // OUT requests that nobody has read yet: the device says NAK
	rest    []byte            // of the OUT request that was read last
}

// usbSetup are the eight bytes in front of a control transfer (USB 2.0, section 9.3).
type usbSetup struct {
	kind, request        byte
	value, index, length uint16
}

// usbURB is one request of the kernel.
type usbURB struct {
	seq    uint32
	length uint32
	data   []byte
}

// Requests of USB/IP and the answers to them.
const (
	cmdSubmit, cmdUnlink = 1, 2
	retSubmit, retUnlink = 3, 4
	urbHeader            = 48
	urbLimit             = 1 << 20 // a longer transfer is taken for a broken stream
	statusStall          = -32     // EPIPE
	statusUnlinked       = -104    // ECONNRESET
)

func newUSBDevice(id USBIdentity, class byte, interfaces ...[]byte) *USBDevice {
	d := &USBDevice{id: id, others: make(map[uint16][]byte), reads: make(map[byte][]usbURB), queued: make(map[byte][][]byte)}
	d.changed = sync.NewCond(&d.mu)
	d.device = []byte{0x12, 1, 0, 2, class, 0, 0, 64, 0, 0, 0, 0, 0, 1, 1, 2, 3, 1} // USB 2.0, table 9-8
	binary.LittleEndian.PutUint16(d.device[8:], id.VID)
	binary.LittleEndian.PutUint16(d.device[10:], id.PID)
	d.configuration = []byte{9, 2, 0, 0, byte(len(interfaces)), 1, 0, 0xC0, 50} // table 9-10: self-powered, 100 mA
	for _, i := range interfaces {
		d.configuration = append(d.configuration, i...)
	}
	binary.LittleEndian.PutUint16(d.configuration[2:], uint16(len(d.configuration)))
	return d
}

// ServeURBs answers the kernel on conn until that ends, and returns why. It is the cable: while it runs, the device is
// plugged in. One runs at a time.
func (d *USBDevice) ServeURBs(conn io.ReadWriteCloser) error {
	if err := d.plug(conn, nil); err != nil {
		return err
	}
	return d.serve(conn)
}

func (d *USBDevice) plug(conn io.ReadWriteCloser, detach func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("plug in %s: %w", d.id.Product, os.ErrClosed)
	}
	if d.conn != nil {
		return fmt.Errorf("plug in %s: it is plugged in", d.id.Product)
	}
	d.conn, d.detach = conn, detach
	clear(d.reads)
	clear(d.queued)
	d.writes, d.rest = nil, nil
	return nil
}

func (d *USBDevice) serve(conn io.ReadWriteCloser) error {
	defer func() {
		d.mu.Lock()
		if d.conn == conn {
			d.conn, d.detach = nil, nil
			d.changed.Broadcast()
		}
		d.mu.Unlock()
		_ = conn.Close()
	}()
	for {
		var h [urbHeader]byte
		if _, err := io.ReadFull(conn, h[:]); err != nil {
			return err
		}
		seq := binary.BigEndian.Uint32(h[4:])
		switch command := binary.BigEndian.Uint32(h[:]); command {
		case cmdSubmit:
			u := usbURB{seq: seq, length: binary.BigEndian.Uint32(h[24:])}
			if u.length > urbLimit {
				return fmt.Errorf("request for %d bytes", u.length)
			}
			in := binary.BigEndian.Uint32(h[12:]) == 1
			if !in {
				u.data = make([]byte, u.length)
				if _, err := io.ReadFull(conn, u.data); err != nil {
					return err
				}
			}
			if err := d.submit(conn, byte(binary.BigEndian.Uint32(h[16:])), in, u, setupOf(h[40:])); err != nil {
				return err
			}
		case cmdUnlink:
			if err := d.unlink(conn, seq, binary.BigEndian.Uint32(h[20:])); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unknown command %d", command)
		}
	}
}

func setupOf(b []byte) usbSetup {
	le := binary.LittleEndian
	return usbSetup{kind: b[0], request: b[1], value: le.Uint16(b[2:]), index: le.Uint16(b[4:]), length: le.Uint16(b[6:])}
}

// submit takes a request that came over conn. One of a cable that was pulled meanwhile is nobody's.
func (d *USBDevice) submit(conn io.ReadWriteCloser, endpoint byte, in bool, u usbURB, setup usbSetup) error {
	if endpoint == 0 { // outside of the lock: a device's own control function may take it
		answer, ok := d.answer(setup, u.data)
		d.mu.Lock()
		defer d.mu.Unlock()
		switch {
		case d.conn != conn:
			return nil
		case !ok:
			return d.reply(u.seq, statusStall, 0, nil)
		case in:
			answer = answer[:min(len(answer), int(u.length))]
			return d.reply(u.seq, 0, uint32(len(answer)), answer)
		}
		return d.reply(u.seq, 0, u.length, nil)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != conn {
		return nil
	}
	if in {
		d.reads[endpoint] = append(d.reads[endpoint], u)
		return d.flush(endpoint)
	}
	d.writes = append(d.writes, u)
	d.changed.Broadcast()
	return nil
}

// flush answers waiting IN requests of an endpoint; called under the lock.
func (d *USBDevice) flush(endpoint byte) error {
	for len(d.reads[endpoint]) > 0 && len(d.queued[endpoint]) > 0 {
		u, message := d.reads[endpoint][0], d.queued[endpoint][0]
		n := min(len(message), int(u.length))
		if err := d.reply(u.seq, 0, uint32(n), message[:n]); err != nil {
			return err
		}
		d.reads[endpoint] = d.reads[endpoint][1:]
		if n == len(message) {
			d.queued[endpoint] = d.queued[endpoint][1:]
		} else {
			d.queued[endpoint][0] = message[n:]
		}
	}
	return nil
}

// unlink forgets a request that is not answered yet.
func (d *USBDevice) unlink(conn io.ReadWriteCloser, seq, victim uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != conn {
		return nil
	}
	var found bool
	forget := func(list []usbURB) []usbURB {
		for n, u := range list {
			if u.seq == victim {
				found = true
				return append(list[:n:n], list[n+1:]...)
			}
		}
		return list
	}
	d.writes = forget(d.writes)
	for endpoint := range d.reads {
		d.reads[endpoint] = forget(d.reads[endpoint])
	}
	h := make([]byte, urbHeader)
	binary.BigEndian.PutUint32(h, retUnlink)
	binary.BigEndian.PutUint32(h[4:], seq)
	if found {
		putStatus(h[20:], statusUnlinked)
	}
	return d.send(h)
}

// reply ends a request; called under the lock.
func (d *USBDevice) reply(seq uint32, status int32, actual uint32, data []byte) error {
	h := make([]byte, urbHeader, urbHeader+len(data))
	binary.BigEndian.PutUint32(h, retSubmit)
	binary.BigEndian.PutUint32(h[4:], seq)
	putStatus(h[20:], status)
	binary.BigEndian.PutUint32(h[24:], actual)
	return d.send(append(h, data...))
}

func putStatus(b []byte, status int32) { binary.BigEndian.PutUint32(b, uint32(status)) }

func (d *USBDevice) send(b []byte) error {
	if d.conn == nil {
		return d.unplugged()
	}
	_, err := d.conn.Write(b)
	return err
}

// answer is the device's part of a control transfer: what every device answers (USB 2.0, section 9.4), then its own.
func (d *USBDevice) answer(s usbSetup, data []byte) (answer []byte, ok bool) {
	if s.kind&0x60 != 0 { // class or vendor
		if d.control == nil {
			return nil, false
		}
		return d.control(s, data)
	}
	switch s.request {
	case 0: // GET_STATUS
		return []byte{0, 0}, true
	case 1, 3, 5, 9, 11: // CLEAR_FEATURE, SET_FEATURE, SET_ADDRESS, SET_CONFIGURATION, SET_INTERFACE
		return nil, true
	case 6: // GET_DESCRIPTOR
		answer = d.descriptor(byte(s.value>>8), byte(s.value), s.index)
		return answer, answer != nil
	case 8: // GET_CONFIGURATION
		return []byte{1}, true
	case 10: // GET_INTERFACE
		return []byte{0}, true
	}
	return nil, false
}

func (d *USBDevice) descriptor(kind, number byte, index uint16) []byte {
	texts := []string{d.id.Manufacturer, d.id.Product, d.id.Serial}
	switch {
	case kind == 1:
		return d.device
	case kind == 2 && number == 0:
		return d.configuration
	case kind == 3 && number == 0:
		return []byte{4, 3, 9, 4} // English
	case kind == 3 && int(number) <= len(texts):
		b := []byte{0, 3}
		for _, unit := range utf16.Encode([]rune(texts[number-1])) {
			b = append(b, byte(unit), byte(unit>>8))
		}
		b[0] = byte(len(b))
		return b
	}
	return d.others[uint16(kind)<<8|index&0xFF]
}

func (d *USBDevice) unplugged() error {
	return fmt.Errorf("%s is unplugged: %w", d.id.Product, os.ErrClosed)
}

// Read gives what the program has written to the device. Until it is read, the device takes nothing more. After Unplug
// and Close it fails with os.ErrClosed.
func (d *USBDevice) Read(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.rest) == 0 {
		switch {
		case d.conn == nil:
			return 0, d.unplugged()
		case len(d.writes) > 0:
			u := d.writes[0]
			d.writes = d.writes[1:]
			d.rest = u.data
			if err := d.reply(u.seq, 0, u.length, nil); err != nil {
				return 0, err
			}
		default:
			d.changed.Wait()
		}
	}
	n := copy(b, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// Write sends bytes to the program; they wait until it reads.
func (d *USBDevice) Write(b []byte) (int, error) {
	if err := d.sendIn(d.streamIn, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// sendIn queues one message on an IN endpoint.
func (d *USBDevice) sendIn(endpoint byte, message []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil {
		return d.unplugged()
	}
	if len(message) > 0 {
		d.queued[endpoint] = append(d.queued[endpoint], append([]byte(nil), message...))
	}
	return d.flush(endpoint)
}

// sendNewest is sendIn for what grows old: a message that nobody fetched is replaced.
func (d *USBDevice) sendNewest(endpoint byte, message []byte) error {
	d.mu.Lock()
	delete(d.queued, endpoint)
	d.mu.Unlock()
	return d.sendIn(endpoint, message)
}

// Unplug pulls the cable: the kernel's nodes go, and who has one open sees the device vanish.
func (d *USBDevice) Unplug() error {
	d.mu.Lock()
	conn, detach := d.conn, d.detach
	d.conn, d.detach = nil, nil
	d.changed.Broadcast()
	d.mu.Unlock()
	var err error
	if detach != nil {
		err = detach()
	}
	if conn != nil {
		if closeErr := conn.Close(); !errors.Is(closeErr, os.ErrClosed) { // else the kernel let go first
			err = errors.Join(err, closeErr)
		}
	}
	return err
}

// Close unplugs for good.
func (d *USBDevice) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	return d.Unplug()
}
