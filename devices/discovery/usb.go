package discovery

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"storeagent/devices"
	"storeagent/devices/port"
)

// USB class codes (USB-IF, "Defined Class Codes").
const (
	classHID     = 0x03
	classPrinter = 0x07
	classHub     = 0x09
)

// device is one USB device as sysfs shows it (kernel, Documentation/ABI/testing/sysfs-bus-usb).
type device struct {
	name                          string // bus and port path, like 1-4.2
	vid, pid                      string
	manufacturer, product, serial string
	class                         int
	interfaces                    []int // their classes
	tty                           bool  // has a serial port, which is listed already
	lp, hidraw                    string
	uses                          []port.HIDUse // what it is as a human interface device
}

// readUSB reads all USB devices, by name. A machine without USB or without sysfs has none. A device that is pulled
// out meanwhile is left out.
func readUSB(ctx context.Context, root string) ([]device, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []device
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		dir := filepath.Join(root, entry.Name())
		if strings.Contains(entry.Name(), ":") || attribute(dir, "idVendor") == "" {
			continue // an interface, read below
		}
		all = append(all, readDevice(root, entry.Name()))
	}
	slices.SortFunc(all, func(a, b device) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

func readDevice(root, name string) device {
	dir := filepath.Join(root, name)
	d := device{
		name: name, vid: strings.ToUpper(attribute(dir, "idVendor")), pid: strings.ToUpper(attribute(dir, "idProduct")),
		manufacturer: attribute(dir, "manufacturer"), product: attribute(dir, "product"), serial: attribute(dir, "serial"),
		class: hex(attribute(dir, "bDeviceClass")),
	}
	interfaces, _ := filepath.Glob(filepath.Join(root, name+":*")) // the pattern is always well-formed: names are digits, "-" and "."
	for _, i := range interfaces {
		d.interfaces = append(d.interfaces, hex(attribute(i, "bInterfaceClass")))
		if lp := first(i, "usbmisc/lp*", "usb/lp*"); lp != "" {
			d.lp = lp
		}
		d.readHID(i)
		// CDC-ACM puts the port below tty/, a converter below its own ttyUSB node.
		d.tty = d.tty || first(i, "tty/tty*", "ttyUSB*") != ""
	}
	return d
}

// readHID reads what an interface is as a human interface device. The node of a scanner or scale counts before that of a
// keyboard that the device is too.
func (d *device) readHID(dir string) {
	described, _ := filepath.Glob(filepath.Join(dir, "*", "report_descriptor")) // the pattern is well-formed, see readDevice
	pos := false
	for _, path := range described {
		if b, err := os.ReadFile(path); err == nil {
			uses, _ := port.HIDUses(b)
			d.uses = append(d.uses, uses...)
			pos = pos || slices.ContainsFunc(uses, func(u port.HIDUse) bool { return u.Page == port.PageScanner || u.Page == port.PageScale })
		}
	}
	if h := first(dir, "*/hidraw/hidraw*"); h != "" && (pos || d.hidraw == "") {
		d.hidraw = h
	}
}

// is reports whether the device describes itself as one of that page.
func (d device) is(page uint16) bool {
	return slices.ContainsFunc(d.uses, func(u port.HIDUse) bool { return u.Page == page })
}

// typesCodes reports whether a device looks like a scanner in keyboard mode: a keyboard of a maker of scanners, or one whose name
// says so.
func (d device) typesCodes() bool {
	if !slices.Contains(d.uses, port.HIDUse{Page: port.PageDesktop, Usage: port.UsageKeyboard}) {
		return false
	}
	k, _ := lookUp(d.vid, d.pid)
	name := strings.ToLower(d.product)
	return k.seems == devices.Scanner || strings.Contains(name, "scanner") || strings.Contains(name, "barcode") || strings.Contains(name, "bar code")
}

// first is the base name of the first path below dir that fits one of the patterns.
func first(dir string, patterns ...string) string {
	for _, pattern := range patterns {
		if paths, err := filepath.Glob(filepath.Join(dir, pattern)); err == nil && len(paths) > 0 {
			return filepath.Base(paths[0])
		}
	}
	return ""
}

func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return "" // most attributes are optional
	}
	return strings.TrimSpace(string(b))
}

func hex(text string) int {
	n, err := strconv.ParseUint(text, 16, 8)
	if err != nil {
		return -1
	}
	return int(n)
}

// found is the device as one of Scan's things, unless it is a serial port or none of a counter's.
func (d device) found(dev string) (Found, bool) {
	f := Found{Kind: USB, VID: d.vid, PID: d.pid, Manufacturer: d.manufacturer, Product: d.product, Serial: d.serial}
	_, known := lookUp(d.vid, d.pid)
	switch {
	case d.class == classHub || d.tty:
		return Found{}, false
	case d.lp != "":
		f.Kind, f.Node = Printer, filepath.Join(dev, "usb", d.lp)
	case slices.Contains(d.interfaces, classPrinter):
		f.Seems, f.Driver = devices.POSPrinter, "escpos"
	case d.is(port.PageScanner), d.is(port.PageScale), d.typesCodes():
		f.Kind, f.uses = HID, d
		if d.hidraw != "" {
			f.Node = filepath.Join(dev, d.hidraw)
		}
	case !known:
		return Found{}, false
	case slices.Contains(d.interfaces, classHID):
		f.Kind = HID
		if d.hidraw != "" {
			f.Node = filepath.Join(dev, d.hidraw)
		}
	}
	return f, true
}

// readLinks gives the link of each node in a by-id folder, by the node's base name.
func readLinks(dir string) map[string]string {
	links := make(map[string]string)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return links // no udev, or nothing plugged in
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if target, err := os.Readlink(path); err == nil && links[filepath.Base(target)] == "" {
			links[filepath.Base(target)] = path
		}
	}
	return links
}
