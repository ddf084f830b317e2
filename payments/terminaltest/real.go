//go:build unix

package terminaltest

import (
	"context"
	"io"
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
