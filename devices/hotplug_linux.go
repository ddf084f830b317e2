package devices

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// kernelGroup is the multicast group in which the kernel itself speaks; udev has another.
const kernelGroup = 1

// WatchHotplug calls wake when the kernel says that a device was plugged in, until ctx ends. An error means that it cannot
// listen here; devices are then found by trying again and again, as everywhere else.
func WatchHotplug(ctx context.Context, wake func()) error {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, syscall.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return fmt.Errorf("watch for plugged devices: %w", err)
	}
	socket := os.NewFile(uintptr(fd), "uevents")
	if err := syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: kernelGroup}); err != nil {
		_ = socket.Close()
		return fmt.Errorf("watch for plugged devices: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	tokens, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(done)
		wakeOn(ctx, tokens, wake)
	}()
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = socket.Close()
	})
	err = readUevents(socket.Read, tokens)
	ended := ctx.Err() != nil
	cancel()
	<-closed
	<-done
	if !ended {
		return fmt.Errorf("watch for plugged devices: %w", err)
	}
	return nil //nolint:nilerr // told to end; closing the socket is what broke the read
}

// readUevents puts a token for each arrival, until read fails.
func readUevents(read func([]byte) (int, error), tokens chan<- struct{}) error {
	message := make([]byte, 16<<10) // the kernel's own buffer has 2 KiB
	for {
		n, err := read(message)
		if errors.Is(err, syscall.ENOBUFS) { // messages were lost: there may have been an arrival
			nudge(tokens)
			continue
		}
		if err != nil {
			return err
		}
		if e, ok := parseUevent(message[:n]); ok && e.arrival() {
			nudge(tokens)
		}
	}
}
