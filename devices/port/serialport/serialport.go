// Package serialport opens serial lines: USB converters, CDC-ACM devices, built-in ports and ptys, on Linux and
// Windows.
//
// It is called by cmd (as a row of the port table) and by devices/discovery. It is the only importer of
// go.bug.st/serial and imports nothing of this module but devices/port. What it adds to that library: deadlines, writes
// that cannot hang for ever, flow control, an unplugged device told from a closed port, and one owner per port.
package serialport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"go.bug.st/serial"
	"go.bug.st/serial/enumerator"

	"storeagent/devices/port"
)

// Ports opens serial lines and remembers which are open, since the kernel lets root open one twice. The zero value
// is ready; a program has one. It is safe for concurrent use.
type Ports struct {
	mu   sync.Mutex
	held map[string]holder // by resolved node
}

type holder struct {
	address string
	stuck   bool // closed, but a write still hangs in the kernel
}

// Open opens the line of a serial address: a path, a by-id link, a COM name, or VID:PID[:SERIAL] of a USB device.
func (s *Ports) Open(ctx context.Context, a port.Address) (port.Port, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	address := a.String()
	line, err := a.Line()
	if err != nil {
		return nil, &port.Error{Op: "open", Address: address, Kind: port.BadAddress, Hint: "correct the port in the configuration", Err: err}
	}
	path := a.Target
	if vid, pid, number, ok := a.USBID(); ok {
		found, err := List()
		if err != nil {
			return nil, port.OpenError(address, path, err)
		}
		name, refusal := resolve(found, vid, pid, number)
		if refusal != nil {
			refusal.Address = address
			return nil, refusal
		}
		path = name
	}
	node := path
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		node = resolved
	}
	if err := s.hold(node, address); err != nil {
		return nil, err
	}
	raw, err := serial.Open(path, mode(line))
	if err != nil {
		s.release(node, false)
		return nil, openError(address, path, err)
	}
	return newLine(raw, address, line.Flow, func(stuck bool) { s.release(node, stuck) }), nil
}

func (s *Ports) hold(node, address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h, busy := s.held[node]; busy && h.stuck {
		return &port.Error{Op: "open", Address: address, Kind: port.Silent, Hint: "switch the device off and on, or pull its plug and put it back",
			Err: fmt.Errorf("an earlier write to %s still hangs: the far end takes no bytes", node)}
	} else if busy {
		return &port.Error{Op: "open", Address: address, Kind: port.InUse, Hint: "give each device its own port in the configuration",
			Err: fmt.Errorf("%s is already open as %s", node, h.address)}
	}
	if s.held == nil {
		s.held = make(map[string]holder)
	}
	s.held[node] = holder{address: address}
	return nil
}

func (s *Ports) release(node string, stuck bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stuck {
		s.held[node] = holder{address: s.held[node].address, stuck: true}
		return
	}
	delete(s.held, node)
}

func mode(l port.Line) *serial.Mode {
	m := &serial.Mode{BaudRate: l.Baud, DataBits: l.Data}
	switch l.Parity {
	case "e":
		m.Parity = serial.EvenParity
	case "o":
		m.Parity = serial.OddParity
	default:
		m.Parity = serial.NoParity
	}
	if l.Stop == 2 {
		m.StopBits = serial.TwoStopBits
	}
	return m
}

func openError(address, path string, err error) error {
	var pe *serial.PortError
	if !errors.As(err, &pe) {
		return port.OpenError(address, path, err)
	}
	switch pe.Code() {
	case serial.PortBusy:
		return port.OpenError(address, path, fmt.Errorf("%w: %w", syscall.EBUSY, err))
	case serial.PermissionDenied:
		return port.OpenError(address, path, fmt.Errorf("%w: %w", fs.ErrPermission, err))
	case serial.PortNotFound:
		return port.OpenError(address, path, fmt.Errorf("%w: %w", fs.ErrNotExist, err))
	}
	e := port.OpenError(address, path, err)
	switch pe.Code() {
	case serial.InvalidSpeed, serial.InvalidDataBits, serial.InvalidParity, serial.InvalidStopBits:
		e.Hint = "this port cannot do that speed or framing: correct baud, data, parity or stop"
	case serial.InvalidSerialPort: // also seen while a device is being unplugged, so it is no BadAddress
		e.Hint = "check that " + path + " is a serial port and that it can do the configured speed and framing"
	}
	return e
}

// Found is one serial port of this machine.
type Found struct {
	Name         string // device path or COM name
	VID, PID     string // upper-case hexadecimal, "" where it is no USB device
	Serial       string
	Manufacturer string
	Product      string
}

// List gives the serial ports of this machine. Ptys are never among them.
func List() ([]Found, error) {
	ports, err := enumerator.GetDetailedPortsList()
	if err != nil {
		return nil, fmt.Errorf("list serial ports: %w", err)
	}
	found := make([]Found, 0, len(ports))
	for _, p := range ports {
		if p.Name != "" { // a link into nowhere comes back without one
			found = append(found, Found{Name: p.Name, VID: strings.ToUpper(p.VID), PID: strings.ToUpper(p.PID),
				Serial: p.SerialNumber, Manufacturer: p.Manufacturer, Product: p.Product})
		}
	}
	return found, nil
}

// resolve finds the one port of a USB id; an error comes without an address.
func resolve(found []Found, vid, pid, number string) (string, *port.Error) {
	var names, others []string
	for _, f := range found {
		switch {
		case f.VID == vid && f.PID == pid && (number == "" || f.Serial == number):
			names = append(names, f.Name)
		case f.VID != "":
			others = append(others, strings.TrimSuffix(f.VID+":"+f.PID+":"+f.Serial, ":"))
		}
	}
	switch {
	case len(names) == 1:
		return names[0], nil
	case len(names) == 0:
		hint := "check the cable and the power of the device"
		if len(others) > 0 {
			hint += "; plugged in are " + strings.Join(others, ", ")
		}
		return "", &port.Error{Op: "open", Kind: port.Missing, Hint: hint, Err: errors.New("no serial port of that USB id")}
	}
	return "", &port.Error{Op: "open", Kind: port.InUse, Hint: "add the serial number, or use a link of /dev/serial/by-path",
		Err: fmt.Errorf("that USB id fits %s", strings.Join(names, " and "))}
}
