package port

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Evdev opens the input event nodes of Linux (kernel, Documentation/input/input.rst) and grabs them: what the device types
// comes here and nowhere else. It takes no bytes. The zero value is this machine.
type Evdev struct {
	Sys  string                 // "" means /sys/class/input
	Dev  string                 // "" means /dev/input
	Grab func(fd uintptr) error // nil means EVIOCGRAB
}

// Open opens a node by its path, best a link of /dev/input/by-id, or by VID:PID[:SERIAL].
func (e Evdev) Open(ctx context.Context, a Address) (Port, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path := a.Target
	if vid, pid, serial, ok := a.USBID(); ok {
		name, err := only(e.list(), vid, pid, serial)
		if err != nil {
			err.Address = a.String()
			return nil, err
		}
		path = filepath.Join(or(e.Dev, "/dev/input"), name)
	}
	grab := e.Grab
	if grab == nil {
		grab = grabNode
	}
	n, err := openInput(a, path, grab)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// list reads the ids of all event nodes that type digits and Enter: a scanner may have further nodes for media keys.
func (e Evdev) list() []usbNode {
	root := or(e.Sys, "/sys/class/input")
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil // nothing of that kind was ever plugged in
	}
	var nodes []usbNode
	for _, entry := range entries {
		read := func(name string) string {
			text, err := os.ReadFile(filepath.Join(root, entry.Name(), "device", name))
			if err != nil {
				return "" // pulled out meanwhile
			}
			return strings.TrimSpace(string(text))
		}
		if strings.HasPrefix(entry.Name(), "event") && typesDigits(read("capabilities/key")) {
			nodes = append(nodes, usbNode{name: entry.Name(), vid: lastFour(read("id/vendor")), pid: lastFour(read("id/product")), serial: read("uniq")})
		}
	}
	return nodes
}

// digitsAndEnter are the bits of KEY_1 to KEY_0, 2 to 11, and of KEY_ENTER, 28 (include/uapi/linux/input-event-codes.h).
const digitsAndEnter = 0x3FF<<2 | 1<<28

// typesDigits reads the key bits of a node: words in hexadecimal, the lowest last.
func typesDigits(capabilities string) bool {
	words := strings.Fields(capabilities)
	if len(words) == 0 {
		return false
	}
	low, err := strconv.ParseUint(words[len(words)-1], 16, 64)
	return err == nil && low&digitsAndEnter == digitsAndEnter
}
