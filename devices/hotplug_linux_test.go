package devices

import (
	"context"
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadUevents(t *testing.T) {
	tokens := make(chan struct{}, 1)
	steps := []struct {
		message []byte
		err     error
		token   bool
	}{
		{zeros("add@/devices/x/hidraw/hidraw0", "SUBSYSTEM=hidraw", "DEVNAME=hidraw0"), nil, true},
		{zeros("remove@/devices/x/hidraw/hidraw0", "SUBSYSTEM=hidraw", "DEVNAME=hidraw0"), nil, false},
		{[]byte("libudev\x00"), nil, false},
		{nil, unix.ENOBUFS, true},
		{nil, io.ErrClosedPipe, false},
	}
	n := 0
	err := readUevents(func(b []byte) (int, error) {
		if n > 0 {
			select {
			case <-tokens:
				if !steps[n-1].token {
					t.Errorf("step %d woke", n-1)
				}
			default:
				if steps[n-1].token {
					t.Errorf("step %d did not wake", n-1)
				}
			}
		}
		n++
		return copy(b, steps[n-1].message), steps[n-1].err
	}, tokens)
	if !errors.Is(err, io.ErrClosedPipe) || n != len(steps) {
		t.Errorf("%v after %d", err, n)
	}
}

// The socket of this machine opens, or says why not, and its watcher ends with its context.
func TestWatchHotplugEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- WatchHotplug(ctx, func() {}) }()
	cancel()
	err := <-done
	if err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPROTONOSUPPORT) && !errors.Is(err, unix.EAFNOSUPPORT) {
		t.Error(err)
	}
	t.Logf("ended with %v", err)
}
