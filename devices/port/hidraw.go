package port

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// HIDRaw opens the hidraw nodes of Linux (kernel, Documentation/hid/hidraw.rst): each Read gives one input report, with
// its id where the device has ids. It takes no bytes. The zero value is this machine.
type HIDRaw struct {
	Sys string // "" means /sys/class/hidraw
	Dev string // "" means /dev
}

// Open opens a node by its path or by VID:PID[:SERIAL]. The node is locked, so that two agents, or two devices of one,
// do not read the same scanner; programs that do not lock it are not kept out.
func (h HIDRaw) Open(ctx context.Context, a Address) (Port, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path := a.Target
	if vid, pid, serial, ok := a.USBID(); ok {
		name, err := only(pointOfSale(h.list(), vid, pid), vid, pid, serial)
		if err != nil {
			err.Address = a.String()
			return nil, err
		}
		path = filepath.Join(or(h.Dev, "/dev"), name)
	}
	n, err := openInput(a, path, lockNode)
	if err != nil {
		return nil, err
	}
	return &hidNode{n, h.descriptor(path)}, nil
}

// hidNode is an open hidraw node. It is a Reports.
type hidNode struct {
	*inputNode
	descriptor []byte
}

// Descriptor implements Reports.
func (n *hidNode) Descriptor() []byte { return n.descriptor }

// descriptor is that of the node at path, nil where the kernel shows none.
func (h HIDRaw) descriptor(path string) []byte {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	b, err := os.ReadFile(filepath.Join(or(h.Sys, "/sys/class/hidraw"), filepath.Base(path), "device", "report_descriptor"))
	if err != nil {
		return nil
	}
	return b
}

// pointOfSale leaves out what else a scanner or scale of that id is, such as a keyboard: it may have several nodes.
func pointOfSale(nodes []usbNode, vid, pid string) []usbNode {
	fits := func(n usbNode) bool { return n.vid == vid && n.pid == pid }
	if !slices.ContainsFunc(nodes, func(n usbNode) bool { return fits(n) && n.pos }) {
		return nodes
	}
	return slices.DeleteFunc(nodes, func(n usbNode) bool { return fits(n) && !n.pos })
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

// usbNode is a node of a USB device.
type usbNode struct {
	name, vid, pid, serial string
	pos                    bool // of a point-of-sale page
}

// list reads the ids of all hidraw nodes: HID_ID is BUS:VENDOR:PRODUCT in hexadecimal, HID_UNIQ the serial number
// (kernel, drivers/hid/hid-core.c, hid_uevent).
func (h HIDRaw) list() []usbNode {
	root := or(h.Sys, "/sys/class/hidraw")
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil // nothing of that kind was ever plugged in
	}
	var nodes []usbNode
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(root, entry.Name(), "device", "uevent"))
		if err != nil {
			continue // pulled out meanwhile
		}
		n := usbNode{name: entry.Name()}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "HID_ID":
				if parts := strings.Split(value, ":"); len(parts) == 3 {
					n.vid, n.pid = lastFour(parts[1]), lastFour(parts[2])
				}
			case "HID_UNIQ":
				n.serial = value
			}
		}
		uses, _ := HIDUses(h.descriptor(entry.Name()))
		n.pos = slices.ContainsFunc(uses, func(u HIDUse) bool { return u.Page == PageScanner || u.Page == PageScale })
		nodes = append(nodes, n)
	}
	return nodes
}

func lastFour(hex string) string { return strings.ToUpper(hex[max(0, len(hex)-4):]) }

// only finds the one node of a USB id; its error comes without an address.
func only(nodes []usbNode, vid, pid, serial string) (string, *Error) {
	var names, others []string
	for _, n := range nodes {
		switch {
		case n.vid == vid && n.pid == pid && (serial == "" || n.serial == serial):
			names = append(names, n.name)
		case n.vid != "":
			others = append(others, strings.TrimSuffix(n.vid+":"+n.pid+":"+n.serial, ":"))
		}
	}
	switch len(names) {
	case 1:
		return names[0], nil
	case 0:
		hint := "check the cable of the device"
		if others = slices.Compact(others); len(others) > 0 {
			hint += "; plugged in are " + strings.Join(others, ", ")
		}
		return "", &Error{Op: "open", Kind: Missing, Hint: hint, Err: errors.New("no device of that USB id")}
	}
	return "", &Error{Op: "open", Kind: InUse, Hint: "add the serial number, or name the node by its path",
		Err: fmt.Errorf("that USB id fits %s", strings.Join(names, " and "))}
}
