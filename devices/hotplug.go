package devices

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"
)

// uevent is a message of the kernel about a device that came, went or changed.
type uevent struct {
	action    string // add, remove, bind, …
	subsystem string
	devname   string // node below /dev, "" where there is none
}

// parseUevent reads a kernel message: ACTION@DEVPATH, then KEY=VALUE texts, each ended by a NUL (kernel,
// lib/kobject_uevent.c). false means that it is none, such as those that udev sends to its own group.
func parseUevent(message []byte) (uevent, bool) {
	parts := bytes.Split(bytes.TrimSuffix(message, []byte{0}), []byte{0})
	action, path, ok := strings.Cut(string(parts[0]), "@")
	if !ok || action == "" || !strings.HasPrefix(path, "/") {
		return uevent{}, false
	}
	e := uevent{action: action}
	for _, part := range parts[1:] {
		switch key, value, _ := strings.Cut(string(part), "="); key {
		case "SUBSYSTEM":
			e.subsystem = value
		case "DEVNAME":
			e.devname = value
		}
	}
	return e, true
}

// arrival reports whether a node came that a port could be behind. A "change" may be udev's news of new rights.
func (e uevent) arrival() bool {
	return e.devname != "" && slices.Contains([]string{"add", "bind", "change"}, e.action) &&
		slices.Contains([]string{"tty", "usb", "usbmisc", "hidraw", "input"}, e.subsystem)
}

// settle is the shortest time between two wake-ups: plugging in one device makes a dozen messages, and the rights of a
// node come a moment after it.
const settle = 100 * time.Millisecond

// wakeOn calls wake for each token, at most once within settle, and once more for what came meanwhile. It returns when
// ctx ends.
func wakeOn(ctx context.Context, tokens <-chan struct{}, wake func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-tokens:
		}
		wake()
		select {
		case <-ctx.Done():
			return
		case <-time.After(settle):
		}
	}
}

// nudge puts a token into a channel that holds one.
func nudge(tokens chan<- struct{}) {
	select {
	case tokens <- struct{}{}:
	default: // one waits there already
	}
}
