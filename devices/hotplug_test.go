package devices

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices/port"
)

// zeros puts a NUL behind each line, as the kernel does.
func zeros(lines ...string) []byte { return []byte(strings.Join(lines, "\x00") + "\x00") }

func TestParseUevent(t *testing.T) {
	for name, c := range map[string]struct {
		message []byte
		want    uevent
		arrival bool
	}{
		"usb device": {zeros("add@/devices/pci0000:00/0000:00:14.0/usb1/1-9", "ACTION=add", "DEVPATH=/devices/pci0000:00/0000:00:14.0/usb1/1-9", "SUBSYSTEM=usb",
			"MAJOR=189", "MINOR=6", "DEVNAME=bus/usb/001/007", "DEVTYPE=usb_device", "PRODUCT=4b8/202/100", "TYPE=0/0/0", "BUSNUM=001", "DEVNUM=007", "SEQNUM=4711"),
			uevent{"add", "usb", "bus/usb/001/007"}, true},
		"its interface":  {zeros("add@/devices/usb1/1-9/1-9:1.0", "ACTION=add", "SUBSYSTEM=usb", "DEVTYPE=usb_interface"), uevent{"add", "usb", ""}, false},
		"printer node":   {zeros("add@/devices/usb1/1-9/1-9:1.0/usbmisc/lp0", "SUBSYSTEM=usbmisc", "DEVNAME=usb/lp0"), uevent{"add", "usbmisc", "usb/lp0"}, true},
		"serial port":    {zeros("add@/devices/usb1/1-2/1-2:1.0/tty/ttyACM0", "SUBSYSTEM=tty", "DEVNAME=ttyACM0"), uevent{"add", "tty", "ttyACM0"}, true},
		"hidraw":         {zeros("add@/devices/usb1/1-3/1-3:1.0/0003:0C2E:0B07.0001/hidraw/hidraw0", "SUBSYSTEM=hidraw", "DEVNAME=hidraw0"), uevent{"add", "hidraw", "hidraw0"}, true},
		"input":          {zeros("add@/devices/usb1/1-4/1-4:1.0/0003:05E0:1200.0002/input/input5/event3", "SUBSYSTEM=input", "DEVNAME=input/event3"), uevent{"add", "input", "input/event3"}, true},
		"pulled out":     {zeros("remove@/devices/usb1/1-2/1-2:1.0/tty/ttyACM0", "SUBSYSTEM=tty", "DEVNAME=ttyACM0"), uevent{"remove", "tty", "ttyACM0"}, false},
		"a disk":         {zeros("add@/devices/sda", "SUBSYSTEM=block", "DEVNAME=sda"), uevent{"add", "block", "sda"}, false},
		"no NUL at last": {[]byte("add@/devices/x\x00SUBSYSTEM=tty\x00DEVNAME=ttyS9"), uevent{"add", "tty", "ttyS9"}, true},
		"key of no text": {zeros("add@/devices/x", "SUBSYSTEM", "DEVNAME="), uevent{"add", "", ""}, false},
	} {
		got, ok := parseUevent(c.message)
		if !ok || got != c.want || got.arrival() != c.arrival {
			t.Errorf("%s: %+v %v, arrival %v", name, got, ok, got.arrival())
		}
	}
	for _, message := range []string{"", "\x00", "libudev\x00\xfe\xed\xca\xfe", "add", "@/devices", "add@devices"} {
		if e, ok := parseUevent([]byte(message)); ok {
			t.Errorf("%q is %+v", message, e)
		}
	}
}

func FuzzParseUevent(f *testing.F) {
	f.Add(zeros("add@/devices/x", "SUBSYSTEM=tty", "DEVNAME=ttyS9"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if e, ok := parseUevent(message); !ok && e != (uevent{}) || ok && e.action == "" {
			t.Errorf("%q: %+v %v", message, e, ok)
		}
	})
}

// A storm of messages wakes at once, then no more than ten times a second, and the last one is never lost.
func TestWakeOnSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		tokens, done := make(chan struct{}, 1), make(chan struct{})
		var wakes atomic.Int64
		go func() {
			wakeOn(ctx, tokens, func() { wakes.Add(1) })
			close(done)
		}()
		nudge(tokens)
		synctest.Wait()
		if n := wakes.Load(); n != 1 {
			t.Errorf("%d wake-ups at once", n)
		}
		for range 1000 {
			nudge(tokens)
		}
		time.Sleep(10 * settle)
		synctest.Wait()
		if n := wakes.Load(); n != 2 {
			t.Errorf("%d wake-ups after a storm", n)
		}
		cancel()
		<-done
	})
}

// Ten thousand times a device is pulled out and put back, and it is there at once each time. A goroutine left behind
// would make synctest panic.
func TestTenThousandHotplugs(t *testing.T) {
	const cycles = 10_000
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var far net.Conn
		var plugged atomic.Bool
		plugged.Store(true)
		var sessions atomic.Int64
		l := NewLink(LinkConfig{Info: Info{Name: "s"}, Open: func(context.Context) (port.Port, error) {
			if !plugged.Load() {
				return nil, &port.Error{Op: "open", Address: "x", Kind: port.Missing, Err: errors.New("gone")}
			}
			near, other := net.Pipe()
			far = other
			return near, nil
		}})
		set := NewSet(linked{l, func(ctx context.Context, p port.Port) error {
			sessions.Add(1)
			l.SetState(Ready, Status{})
			_, err := p.Read(make([]byte, 1))
			return err
		}})
		done := make(chan error)
		go func() { done <- set.Run(ctx) }()
		synctest.Wait()
		before := runtime.NumGoroutine()
		for n := range cycles {
			plugged.Store(false)
			_ = far.Close()
			synctest.Wait()
			time.Sleep(7 * time.Second) // the waits have grown to their longest
			synctest.Wait()
			if l.Info().State != Offline {
				t.Fatalf("cycle %d: %+v", n, l.Info())
			}
			plugged.Store(true)
			at := time.Now()
			set.Wake()
			synctest.Wait()
			if i := l.Info(); i.State != Ready || sessions.Load() != int64(n+2) || !time.Now().Equal(at) {
				t.Fatalf("cycle %d: %+v, %d sessions", n, i, sessions.Load())
			}
		}
		if after := runtime.NumGoroutine(); after > before+2 {
			t.Errorf("%d goroutines, %d before", after, before)
		}
		set.Wake() // an open port is left alone
		synctest.Wait()
		if sessions.Load() != cycles+1 {
			t.Errorf("%d sessions", sessions.Load())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = far.Close()
	})
}

// linked is a device on a Link.
type linked struct {
	*Link
	session func(context.Context, port.Port) error
}

func (d linked) Run(ctx context.Context) error { return d.Serve(ctx, d.session) }

// A device whose rights come a moment after its node is tried again soon, not after the long wait it had come to.
func TestWakeTriesAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var opens atomic.Int64
		l := NewLink(LinkConfig{Open: func(context.Context) (port.Port, error) {
			opens.Add(1)
			return nil, &port.Error{Op: "open", Address: "x", Kind: port.NoPermission, Err: errors.New("not yet")}
		}})
		done := make(chan error)
		go func() { done <- l.Serve(ctx, nil) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		n := opens.Load()
		l.Wake()
		synctest.Wait()
		if opens.Load() != n+1 {
			t.Fatalf("%d attempts at once", opens.Load()-n)
		}
		time.Sleep(firstWait + time.Millisecond)
		synctest.Wait()
		if opens.Load() < n+2 {
			t.Errorf("no second attempt within %v", firstWait)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
