package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"storeagent/devices/devicesim"
	"storeagent/devices/printer/starprnt"
	"storeagent/payments/terminalsim"
)

type simulateCmd struct {
	Terminal simTerminalCmd `cmd:"" help:"A card terminal."`
	Printer  simPrinterCmd  `cmd:"" help:"A receipt printer; its paper is shown here."`
	Scanner  simScannerCmd  `cmd:"" help:"A bar code scanner; type a code and press Enter."`
	Scale    simScaleCmd    `cmd:"" help:"A counter scale."`
	Cloud    simCloudCmd    `cmd:"" help:"The POS cloud with its sign-in server."`
}

// simPort is where a simulated device is plugged in.
type simPort struct {
	Port string `help:"tcp:HOST:PORT to listen on, pty:LINK to make LINK point at a fresh pty, or usb to plug a USB device into this kernel." required:"" placeholder:"ADDRESS"`
}

// serve lets a device answer on its port until ctx ends: one connection after the other on TCP, for ever on a pty.
func (p simPort) serve(ctx context.Context, ready func(address string), device func(ctx context.Context, rw io.ReadWriteCloser, serial bool) error) error {
	scheme, target, _ := strings.Cut(p.Port, ":")
	switch {
	case scheme == "pty" && target != "":
		pty, err := devicesim.OpenPTY(target)
		if err != nil {
			return err
		}
		defer pty.Close()
		ready("serial:" + target)
		return servePTY(ctx, pty, func(ctx context.Context, rw io.ReadWriteCloser) error { return device(ctx, rw, true) })
	case scheme == "tcp" && target != "":
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", target)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		ready("tcp:" + l.Addr().String())
		return serveTCP(ctx, l, func(ctx context.Context, conn net.Conn) error { return device(ctx, conn, false) })
	case scheme == "usb":
		return &exitError{exitUsage, errors.New("this device has no USB plug: use --port pty:LINK or tcp:HOST:PORT")}
	}
	return &exitError{exitUsage, fmt.Errorf("--port %q: want pty:LINK or tcp:HOST:PORT", p.Port)}
}

// plug is a cable that the device's own end can pull and put back.
type plug interface {
	io.ReadWriter
	Replug() error
	Unplug() error
}

// usbSerial is what a simulated device calls itself on USB.
const usbSerial = "SIM1"

// serveUSB plugs a device into this machine's kernel and lets it answer there until ctx ends. It needs root and the
// kernel module vhci-hcd.
func serveUSB(ctx context.Context, d *devicesim.USBDevice, ready func(), device func(ctx context.Context, rw io.ReadWriteCloser, serial bool) error) error {
	if err := d.Replug(); err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // the kernel lets go of what is left at the latest with the process
	ready()
	return servePTY(ctx, d, func(ctx context.Context, rw io.ReadWriteCloser) error { return device(ctx, rw, true) })
}

// servePTY lets the device serve the cable until ctx ends. A device that hangs up has pulled its cable; it is plugged in
// again a moment later.
func servePTY(ctx context.Context, pty plug, device func(ctx context.Context, rw io.ReadWriteCloser) error) error {
	for {
		_ = device(ctx, cable{pty}) // however it ended, the cable is what counts
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(300 * time.Millisecond):
		}
		if err := pty.Replug(); err != nil {
			return err
		}
	}
}

// cable is a plug whose device, when it hangs up, can be plugged in again.
type cable struct{ plug }

// Close pulls the cable.
func (c cable) Close() error { return c.Unplug() }

// serveTCP lets the device serve one connection after the other until ctx ends.
func serveTCP(ctx context.Context, l net.Listener, device func(ctx context.Context, conn net.Conn) error) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil
		default:
			return fmt.Errorf("accept: %w", err)
		}
		_ = device(ctx, conn) // a broken connection is the caller's doing; the next one is served
		conn.Close()
	}
}

type simTerminalCmd struct {
	simPort
	Protocol string `help:"zvt, pax, nexo or telium." required:"" enum:"zvt,pax,nexo,telium"`
	Script   string `help:"File with one behaviour a line, one line a payment, the last for all that follow: approve, decline, cancel, wrongpin, slow=N, wait, noise, cut=STEP, lostack, …" type:"existingfile" placeholder:"FILE"`
	Currency string `help:"ISO 4217 number the terminal works in." default:"840"`
}

// Run runs a simulated terminal.
func (c simTerminalCmd) Run(e *env) error {
	o := terminalsim.Options{Currency: c.Currency, OnStep: func(step string) { e.printf("%s\n", step) }}
	if c.Script != "" {
		text, err := os.ReadFile(c.Script)
		if err != nil {
			return err
		}
		if o.Script, err = terminalsim.ParseScript(string(text)); err != nil {
			return &exitError{exitUsage, fmt.Errorf("%s: %w", c.Script, err)}
		}
	}
	var serve func(ctx context.Context, rw io.ReadWriteCloser, serial bool) error
	switch c.Protocol {
	case "nexo":
		return c.runNexo(e, o)
	case "pax":
		serve = anyLine(terminalsim.NewPAX(o).Serve)
	case "telium":
		serve = anyLine(terminalsim.NewTelium(o).Serve)
	default:
		term := terminalsim.NewZVT(o)
		serve = func(ctx context.Context, rw io.ReadWriteCloser, serial bool) error {
			return serveTerminal(ctx, term, rw, serial)
		}
	}
	ready := func(a string) { e.printf("card terminal (%s) at %s\n", c.Protocol, a) }
	if c.Port == "usb" {
		d := devicesim.NewUSBSerial(devicesim.USBIdentity{VID: 0x11CA, PID: 0x0222, Manufacturer: "SIM", Product: "Card terminal", Serial: usbSerial})
		return serveUSB(e.ctx, d.USBDevice, func() { ready("serial:11CA:0222:" + usbSerial) }, serve)
	}
	return c.serve(e.ctx, ready, serve)
}

// anyLine serves a protocol whose bytes are the same on every line.
func anyLine(serve func(ctx context.Context, rw io.ReadWriteCloser) error) func(context.Context, io.ReadWriteCloser, bool) error {
	return func(ctx context.Context, rw io.ReadWriteCloser, _ bool) error { return serve(ctx, rw) }
}

func serveTerminal(ctx context.Context, t *terminalsim.ZVT, rw io.ReadWriteCloser, serial bool) error {
	if serial {
		return t.ServeSerial(ctx, rw)
	}
	return t.ServeTCP(ctx, rw.(net.Conn))
}

type simPrinterCmd struct {
	simPort
	Language string `help:"escpos, or starprnt for a Star printer in its own language." default:"escpos" enum:"escpos,starprnt"`
	Columns  int    `help:"Characters on a line." default:"42"`
}

// Run runs a simulated printer.
func (c simPrinterCmd) Run(e *env) error {
	paper := func(text string) { e.printf("%s\n", strings.TrimRight(text, "\n")) }
	ready := func(a string) { e.printf("receipt printer (%s) at %s\n", c.Language, a) }
	id := devicesim.USBIdentity{VID: 0x04B8, PID: 0x0202, Manufacturer: "SIM", Product: "Receipt printer", Serial: usbSerial}
	var serve func(ctx context.Context, rw io.ReadWriter) error
	var plug func() *devicesim.USBDevice
	if c.Language == starprnt.Driver {
		id.VID, id.PID = 0x0519, 0x0003
		s := devicesim.NewStar(devicesim.StarOptions{Columns: c.Columns, UTF8: true, OnPaper: paper})
		serve, plug = s.Serve, func() *devicesim.USBDevice { return devicesim.NewUSBStar(s, id) }
	} else {
		p := devicesim.NewPrinter(devicesim.PrinterOptions{Columns: c.Columns, ProcessID: true, OnPaper: paper})
		serve, plug = p.Serve, func() *devicesim.USBDevice { return devicesim.NewUSBPrinter(p, id) }
	}
	device := func(ctx context.Context, rw io.ReadWriteCloser, _ bool) error { return serve(ctx, rw) }
	if c.Port == "usb" {
		return serveUSB(e.ctx, plug(), func() { ready(fmt.Sprintf("file:/dev/usb/lp0, or usb:%04X:%04X:%s", id.VID, id.PID, usbSerial)) }, device)
	}
	return c.serve(e.ctx, ready, device)
}

type simScannerCmd struct {
	simPort
	Mode string `help:"With --port usb: serial (CDC-ACM), hidpos, or keyboard." default:"serial" enum:"serial,hidpos,keyboard"`
	AIM  bool   `help:"Send AIM identifiers; type them before the code, like ]E04006381333931." negatable:"" default:"true"`
}

// Run runs a simulated scanner: each line of standard input is one scan.
func (c simScannerCmd) Run(e *env) error {
	lines := make(chan string)
	go func() { // ends with standard input, at the latest with the process
		defer close(lines)
		for s := bufio.NewScanner(e.stdin); s.Scan(); {
			select {
			case lines <- strings.TrimSpace(s.Text()):
			case <-e.ctx.Done():
				return
			}
		}
	}()
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	ready := func(a string) { e.printf("scanner at %s, type a code and press Enter\n", a) }
	serve := func(ctx context.Context, rw io.ReadWriteCloser, _ bool) error {
		s := devicesim.NewScanner(rw, devicesim.ScannerOptions{AIM: c.AIM})
		return scanLines(ctx, cancel, lines, c.AIM, s.Scan)
	}
	if c.Mode != "serial" && c.Port != "usb" {
		return &exitError{exitUsage, fmt.Errorf("--mode %s is USB: use --port usb", c.Mode)}
	}
	if c.Port != "usb" {
		return c.serve(ctx, ready, serve)
	}
	id := devicesim.USBIdentity{Manufacturer: "SIM", Product: "Scanner", Serial: usbSerial}
	switch c.Mode {
	case "hidpos":
		id.VID, id.PID = 0x0C2E, 0x0B07
		s := devicesim.NewUSBScanner(id)
		return serveUSB(ctx, s.USBDevice, func() { ready("hidraw:0C2E:0B07:" + usbSerial) }, func(ctx context.Context, _ io.ReadWriteCloser, _ bool) error {
			return scanLines(ctx, cancel, lines, true, s.Scan)
		})
	case "keyboard":
		id.VID, id.PID = 0x05E0, 0x1200
		k := devicesim.NewUSBKeyboard(id)
		return serveUSB(ctx, k.USBDevice, func() { ready("evdev:05E0:1200:" + usbSerial) }, func(ctx context.Context, _ io.ReadWriteCloser, _ bool) error {
			return scanLines(ctx, cancel, lines, false, func(aim, data string) error { return k.Scan(aim + data) })
		})
	}
	id.VID, id.PID = 0x0C2E, 0x0720
	return serveUSB(ctx, devicesim.NewUSBSerial(id).USBDevice, func() { ready("serial:0C2E:0720:" + usbSerial) }, serve)
}

// scanLines scans each line until ctx ends, and after the last one calls done. With aim, a line may begin with its AIM identifier.
func scanLines(ctx context.Context, done func(), lines <-chan string, aim bool, scan func(aim, data string) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, ok := <-lines:
			if !ok {
				done()
				return nil
			}
			id := ""
			if aim && len(line) >= 3 && line[0] == ']' {
				id, line = line[:3], line[3:]
			}
			if err := scan(id, line); err != nil {
				return err
			}
		}
	}
}

// serveHTTP serves until ctx ends.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ErrorLog: discardLog()}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return srv.Close()
	})
	return g.Wait()
}
