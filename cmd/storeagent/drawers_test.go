package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/installer/config"
	"storeagent/register"
)

// buildDrawers builds the devices of a configuration; PRINTER stands for the printer's port.
func buildDrawers(t *testing.T, printer, blocks string, changed func(devices.Info)) ([]devices.Device, error) {
	t.Helper()
	head := "[store]\ncode = \"S\"\nregister = \"R\"\ntimezone = \"UTC\"\ncurrency = \"USD\"\n[cloud]\nendpoint = \"https://h/\"\nissuer = \"https://h/\"\nclient_id = \"c\"\n"
	cfg, err := config.Parse("storeagent.toml", []byte(head+strings.ReplaceAll(blocks, "PRINTER", printer)), driverTable())
	if err != nil {
		return nil, err
	}
	return buildDevices(parts{opener: newOpener(), log: slog.New(slog.DiscardHandler), getenv: os.Getenv, onChange: changed, sink: deaf{}}, cfg.Devices)
}

const (
	printerBlock = "[[device]]\nname = \"paper\"\ndriver = \"escpos\"\nport = \"PRINTER\"\n"
	drawerBlock  = "[[device]]\nname = \"till\"\ndriver = \"drawer\"\nport = \"printer:paper?pin=5\"\n"
	levelHigh    = "[device.options]\nopen_level = \"high\"\n"
)

func TestDrawerConfiguration(t *testing.T) {
	for blocks, want := range map[string]string{
		printerBlock + drawerBlock:                         "",
		drawerBlock + printerBlock:                         "",
		printerBlock + levelHigh + drawerBlock + levelHigh: "",
		drawerBlock: "names no configured printer",
		strings.Replace(drawerBlock, "printer:paper?pin=5", "printer:till", 1):                "names no configured printer",
		strings.Replace(drawerBlock, "printer:paper?pin=5", "tcp:h:1", 1):                     "does not work over",
		strings.Replace(drawerBlock, "pin=5", "pin=4", 1):                                     "pin has to be 2",
		printerBlock + drawerBlock + strings.Replace(levelHigh, "high", "up", 1):              "want high or low",
		printerBlock + levelHigh + drawerBlock + strings.Replace(levelHigh, "high", "low", 1): "share one switch line",
	} {
		_, err := buildDrawers(t, "tcp:127.0.0.1:9100", blocks, func(devices.Info) {})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\n%v", blocks, err)
		}
	}
}

// TestDrawerBehindItsPrinter opens a drawer that stands before its printer in the configuration, and sees it open and
// closed.
func TestDrawerBehindItsPrinter(t *testing.T) {
	sim := devicesim.NewPrinter(devicesim.PrinterOptions{ProcessID: true})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = sim.Serve(t.Context(), c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-served })
	changes := make(chan devices.Info, 100)
	devs, err := buildDrawers(t, "tcp:"+l.Addr().String(), drawerBlock+levelHigh+printerBlock, func(i devices.Info) { changes <- i })
	if err != nil {
		t.Fatal(err)
	}
	runDevices(t, devs)
	until := func(what string, ok func(devices.Info) bool) {
		t.Helper()
		limit := time.After(patience)
		for {
			select {
			case i := <-changes:
				if i.Category == devices.CashDrawer && ok(i) {
					return
				}
			case <-limit:
				t.Fatalf("the drawer is never %s: %+v", what, devs[0].Info())
			}
		}
	}
	isOpen := func(open bool) func(devices.Info) bool {
		return func(i devices.Info) bool { return i.Status.DrawerOpened != nil && *i.Status.DrawerOpened == open }
	}
	until("ready and closed", func(i devices.Info) bool { return i.State == devices.Ready && isOpen(false)(i) })
	all := drawersOf(devs)
	pulses := 0
	for seen := false; !seen; { // on a slow machine the second is over before the drawer is seen open
		opened, err := all.Open(t.Context(), "till")
		if pulses++; err != nil || opened == nil || sim.Pulses(5) != pulses || sim.Pulses(2) != 0 {
			t.Fatalf("opened %v, %v, %d pulses", opened, err, sim.Pulses(5))
		}
		seen = *opened
		until("open", isOpen(true))
		sim.SetDrawer(false)
		until("closed", isOpen(false))
	}
	sim.SetCover(true)
	if _, err := all.Open(t.Context(), "till"); err != nil || sim.Pulses(5) != pulses+1 {
		t.Errorf("with an open cover: %v, %d pulses", err, sim.Pulses(5))
	}
	if _, err := all.Open(t.Context(), "paper"); !errors.Is(err, register.ErrNoDevice) {
		t.Errorf("a printer as a drawer: %v", err)
	}
}

// runDevices runs devices until the test ends.
func runDevices(t *testing.T, devs []devices.Device) {
	set := devices.NewSet(devs...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- set.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
