package main

import (
	"net"
	"strings"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
)

// TestDisplayBehindItsPrinter shows text on a display that stands before its printer in the configuration, behind a
// printer of either language.
func TestDisplayBehindItsPrinter(t *testing.T) {
	const blocks = "[[device]]\nname = \"pole\"\ndriver = \"display\"\nport = \"printer:paper\"\n" + printerBlock + drawerBlock
	for _, driver := range []string{"escpos", "starprnt"} {
		shows := devicesim.NewDisplay(false)
		star := devicesim.NewStar(devicesim.StarOptions{Display: shows, Ethernet: true})
		epson := devicesim.NewPrinter(devicesim.PrinterOptions{ProcessID: true, Display: shows})
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
				if driver == "starprnt" {
					_ = star.Serve(t.Context(), c)
				} else {
					_ = epson.Serve(t.Context(), c)
				}
				_ = c.Close()
			}
		}()
		t.Cleanup(func() { _ = l.Close(); <-served })
		changes := make(chan devices.Info, 1000)
		devs, err := buildDrawers(t, "tcp:"+l.Addr().String(), strings.Replace(blocks, "escpos", driver, 1), func(i devices.Info) { changes <- i })
		if err != nil {
			t.Fatal(err)
		}
		runDevices(t, devs)
		limit := time.After(patience)
		for ready := false; !ready; {
			select {
			case i := <-changes:
				ready = i.Name == "pole" && i.State == devices.Ready
			case <-limit:
				t.Fatalf("%s: the display is never ready: %+v", driver, devs[0].Info())
			}
		}
		if err := newCounter(devs).Show(t.Context(), "pole", []string{"Grüße", "TOTAL 1.99 €"}); err != nil {
			t.Errorf("%s: %v", driver, err)
		}
		if got := shows.Lines(); got != [2]string{"Grüße", "TOTAL 1.99 €"} || shows.Garbage() > 0 || star.Paper()+epson.Paper() != "" {
			t.Errorf("%s: it shows %q, on paper is %q", driver, got, star.Paper()+epson.Paper())
		}
		if opened, err := drawersOf(devs).Open(t.Context(), "till"); err != nil || star.Pulses(5)+epson.Pulses(5) != 1 {
			t.Errorf("%s: drawer %v, %v", driver, opened, err)
		}
	}
	for blocks, want := range map[string]string{
		"[[device]]\nname = \"pole\"\ndriver = \"display\"\nport = \"printer:paper\"\n":                      "names no configured printer",
		"[[device]]\nname = \"pole\"\ndriver = \"display\"\nport = \"printer:paper?pin=2\"\n" + printerBlock: "no pin",
	} {
		if _, err := buildDrawers(t, "tcp:127.0.0.1:9100", blocks, func(devices.Info) {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s%v", blocks, err)
		}
	}
}
