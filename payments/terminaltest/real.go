//go:build unix

package terminaltest

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"storeagent/devices/port"
)

// PTY lets a simulated terminal serve a pty until the test ends, and opens its other end for the driver.
func PTY(t testing.TB, serve func(ctx context.Context, rw io.ReadWriteCloser) error) port.OpenFunc {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := term.MakeRaw(int(slave.Fd())); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	wg.Go(func() { _ = serve(ctx, master) })
	t.Cleanup(func() { cancel(); _ = slave.Close(); wg.Wait() }) // without a slave open the master's Read ends
	// Without O_NONBLOCK the runtime could not end a Read by Close.
	return func(context.Context) (port.Port, error) {
		return os.OpenFile(slave.Name(), os.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	}
}

// Listen lets a simulated terminal serve connections on the loopback address until the test ends, and opens them for
// the driver.
func Listen(t testing.TB, serve func(ctx context.Context, conn net.Conn)) port.OpenFunc {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	wg.Go(func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(ctx, conn) })
		}
	})
	t.Cleanup(func() { cancel(); _ = lis.Close(); wg.Wait() })
	return func(ctx context.Context) (port.Port, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", lis.Addr().String())
	}
}
