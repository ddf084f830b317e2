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

// BenchmarkIdleTerminals is what the agent uses while nothing happens, with one card terminal and with nine. An eighth of
// what is between them is what one more costs. The window is 5 s, whatever b.N is.
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
			const window = 5 * time.Second
			before, _ := ts.usage()
			<-time.After(window)
			after, kib := ts.usage()
			b.ReportMetric(float64(after-before)*10/window.Seconds(), "cpu-ms/s")
			b.ReportMetric(float64(kib)/1024, "rss-MiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}
