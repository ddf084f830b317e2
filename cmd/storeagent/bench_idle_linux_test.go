package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/payments/terminalsim"
)

// usage reads what the agent's process has used: CPU time in clock ticks of 10 ms, and resident memory in KiB
// (proc_pid_stat(5), proc_pid_status(5)).
func (ts *testShop) usage() (ticks, kib int64) {
	ts.tb.Helper()
	dir := fmt.Sprintf("/proc/%d/", ts.shop.agent.cmd.Process.Pid)
	stat, err := os.ReadFile(dir + "stat")
	ts.must(err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		ts.must(err)
		ticks += n
	}
	status, err := os.ReadFile(dir + "status")
	ts.must(err)
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err = strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	ts.must(err)
	return ticks, kib
}

// idle measures what the agent uses in five seconds, whatever b.N is.
func (ts *testShop) idle(b *testing.B) {
	const window = 5 * time.Second
	before, _ := ts.usage()
	<-time.After(window)
	after, kib := ts.usage()
	b.ReportMetric(float64(after-before)*10/window.Seconds(), "cpu-ms/s")
	b.ReportMetric(float64(kib)/1024, "rss-MiB")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkIdleTerminals is what the agent uses while nothing happens, with one card terminal and with nine. An eighth of
// what is between them is what one more costs.
func BenchmarkIdleTerminals(b *testing.B) {
	for _, more := range []int{0, 8} {
		b.Run(fmt.Sprintf("terminals=%d", 1+more), func(b *testing.B) {
			ts := openTestShop(b, nil)
			var text strings.Builder
			for i := range more {
				sim := terminalsim.NewZVT(terminalsim.Options{Currency: "840", Password: "000000"})
				address := ts.listenSim(func(ctx context.Context, l net.Listener) error {
					return serveTCP(ctx, l, func(ctx context.Context, conn net.Conn) error {
						return serveTerminal(ctx, sim, io.ReadWriteCloser(conn), false)
					})
				})
				fmt.Fprintf(&text, "\n[[device]]\nname = \"more%d\"\ndriver = \"zvt\"\nport = \"tcp:%s\"\n[device.options]\npassword = \"file:%s/zvt-password\"\n", i, address, ts.shop.dir)
			}
			ts.add(text.String())
			for i := range more {
				ts.terminalIs(fmt.Sprintf("more%d", i), devices.Ready)
			}
			ts.idle(b)
		})
	}
}

// BenchmarkIdleDevices is the same with eight devices of all kinds: the shop's card terminal, printer and scanner, and one
// more terminal, two printers and two scanners in the network.
func BenchmarkIdleDevices(b *testing.B) {
	ts := openTestShop(b, nil)
	var text strings.Builder
	add := func(name, driver, options string, serve func(ctx context.Context, conn io.ReadWriteCloser) error) {
		address := ts.listenSim(func(ctx context.Context, l net.Listener) error {
			return serveTCP(ctx, l, func(ctx context.Context, conn net.Conn) error { return serve(ctx, conn) })
		})
		fmt.Fprintf(&text, "\n[[device]]\nname = %q\ndriver = %q\nport = \"tcp:%s\"\n%s", name, driver, address, options)
	}
	terminal := terminalsim.NewZVT(terminalsim.Options{Currency: "840", Password: "000000"})
	add("card2", "zvt", fmt.Sprintf("[device.options]\npassword = \"file:%s/zvt-password\"\n", ts.shop.dir), func(ctx context.Context, conn io.ReadWriteCloser) error {
		return serveTerminal(ctx, terminal, conn, false)
	})
	names := []string{"card", "paper", "hand", "card2"}
	for i := range 2 {
		paper := devicesim.NewPrinter(devicesim.PrinterOptions{ProcessID: true})
		add(fmt.Sprintf("paper%d", i), "escpos", "", func(ctx context.Context, conn io.ReadWriteCloser) error { return paper.Serve(ctx, conn) })
		add(fmt.Sprintf("scanner%d", i), "scanner", "", func(ctx context.Context, conn io.ReadWriteCloser) error { // it reads no code
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			_, err := io.Copy(io.Discard, conn)
			return err
		})
		names = append(names, fmt.Sprintf("paper%d", i), fmt.Sprintf("scanner%d", i))
	}
	ts.add(text.String())
	for _, name := range names {
		ts.terminalIs(name, devices.Ready)
	}
	ts.idle(b)
}
