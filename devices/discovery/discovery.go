// Package discovery finds what is plugged into this machine, says what each thing seems to be, and suggests the lines
// that put it into the configuration.
//
// It is called by cmd and installer. It imports devices, devices/port and its serialport, opens no device and changes
// nothing. Ids follow usb.ids (http://www.linux-usb.org/usb-ids.html).
package discovery

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/port/serialport"
)

// Kind is the way in which a thing is plugged in.
type Kind string

// The kinds.
const (
	Serial  Kind = "serial"  // a serial port, also of a USB device
	Printer Kind = "printer" // a USB printer with a kernel node (usblp)
	HID     Kind = "hid"     // a USB device that is read as a human interface device
	USB     Kind = "usb"     // a USB device without a node that we know
)

// Found is one thing.
type Found struct {
	Kind         Kind             `json:"kind"`
	Node         string           `json:"node,omitempty" doc:"Device node or COM name, empty where the kernel made none"`
	ByID         string           `json:"byId,omitempty" doc:"Link that stays the same over replugging and restarts"`
	VID          string           `json:"vid,omitempty" doc:"USB vendor id, four upper-case hexadecimal digits"`
	PID          string           `json:"pid,omitempty"`
	Manufacturer string           `json:"manufacturer,omitempty"`
	Product      string           `json:"product,omitempty"`
	Serial       string           `json:"serial,omitempty"`
	Seems        devices.Category `json:"seems,omitempty" doc:"What it seems to be, empty where nothing tells"`
	Driver       string           `json:"driver,omitempty" doc:"Driver to try, empty where nothing tells or none fits"`
	ConfigLines  string           `json:"configLines,omitempty" doc:"The [[device]] block to put into the configuration"`
	Note         string           `json:"note,omitempty" doc:"What to know or do, for a person"`

	uses device // what it says of itself, of a HID device that does
}

// Roots are the places that Scan looks at. The zero value is this machine.
type Roots struct {
	USB  string                             // "" means /sys/bus/usb/devices; absent outside Linux
	Dev  string                             // "" means /dev
	List func() ([]serialport.Found, error) // nil means serialport.List
}

// Scan lists serial ports first, then the other USB devices, each in the order of their names. Hubs and things that
// have nothing to do with a counter (keyboards, disks, cameras) are left out unless their vendor is known here.
func Scan(ctx context.Context, r Roots) ([]Found, error) {
	if r.USB == "" {
		r.USB = "/sys/bus/usb/devices"
	}
	if r.Dev == "" {
		r.Dev = "/dev"
	}
	if r.List == nil {
		r.List = serialport.List
	}
	ports, err := r.List()
	if err != nil {
		return nil, fmt.Errorf("find devices: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	usb, err := readUSB(ctx, r.USB)
	if err != nil {
		return nil, fmt.Errorf("find devices: %w", err)
	}
	links := readLinks(filepath.Join(r.Dev, "serial", "by-id"))
	var found []Found
	for _, p := range ports {
		found = append(found, Found{Kind: Serial, Node: p.Name, ByID: links[filepath.Base(p.Name)], VID: p.VID, PID: p.PID,
			Manufacturer: p.Manufacturer, Product: p.Product, Serial: p.Serial})
	}
	slices.SortFunc(found, func(a, b Found) int { return strings.Compare(a.Node, b.Node) })
	for _, d := range usb {
		if f, ok := d.found(r.Dev); ok {
			found = append(found, f)
		}
	}
	names := make(map[string]int)
	for n := range found {
		found[n].judge()
		found[n].suggest(names, alike(found, n))
	}
	return found, nil
}

// alike reports whether another thing of the same kind has the same USB id and serial number, so that these cannot name it.
func alike(found []Found, n int) bool {
	f := found[n]
	for m, o := range found {
		if m != n && o.Kind == f.Kind && o.VID == f.VID && o.PID == f.PID && (o.Serial == f.Serial || f.Serial == "") {
			return true
		}
	}
	return false
}

// judge says what the thing seems to be, by its ids and by what it calls itself.
func (f *Found) judge() {
	k, known := lookUp(f.VID, f.PID)
	if f.Manufacturer == "" {
		f.Manufacturer = k.vendor
	}
	if f.Product == "" {
		f.Product = k.product
	}
	switch {
	case known:
		f.Seems, f.Driver, f.Note = k.seems, k.driver, k.note
	case f.Kind == Printer:
		f.Seems, f.Driver = devices.POSPrinter, "escpos"
		f.Note = "A printer of an unknown make; most receipt printers understand ESC/POS."
	case f.Kind == Serial && f.VID == "":
		f.Note = "A built-in serial port; what is connected to it cannot be told from here."
	case f.Kind == Serial:
		f.Note = "An unknown USB serial device; name the driver of what it is."
	}
	switch {
	case f.Kind == Serial && f.Seems == devices.Scale:
		f.Driver, f.Note = "toledo", "Take nci in place of toledo where the scale is set to that protocol."
	case f.Kind == HID && f.uses.is(port.PageScanner):
		f.Seems, f.Driver, f.Note = devices.Scanner, "hidpos", ""
	case f.Kind == HID && f.uses.is(port.PageScale):
		f.Seems, f.Driver, f.Note = devices.Scale, "hidscale", ""
	case f.Kind == HID && f.uses.typesCodes():
		f.Seems, f.Driver = devices.Scanner, "wedge"
		f.Note = "The scanner is in keyboard mode, the last resort. " + howToSwitch(f.VID) + ", then look again."
	case (f.Kind == HID || f.Kind == USB) && f.Seems == devices.Scanner:
		f.Driver = ""
		f.Note = "The scanner is in a mode of its maker's own or in keyboard mode. " + howToSwitch(f.VID) + ", then look again."
	case f.Kind == USB && f.Seems == devices.POSPrinter:
		f.Note = "The kernel made no printer node (usblp). Load it with `sudo modprobe usblp`, or check that CUPS does not hold the printer. An agent built with libusb opens it as usb:" + f.usbID() + "."
	case f.Kind == HID || f.Kind == USB:
		f.Driver = ""
		if f.Note == "" {
			f.Note = "It has no serial port or printer node, so it cannot be configured here."
		}
	}
}

// howToSwitch is how to bring a scanner of that maker out of keyboard mode. All of them do it by a code to scan.
func howToSwitch(vid string) string {
	switch vid {
	case "0C2E", "0536":
		return "Scan the code for USB HID POS (HID bar code scanner) or USB serial among the USB interfaces in its Honeywell manual"
	case "05E0":
		return "Scan the code for USB HID POS or CDC COM port emulation under USB Device Type in its Zebra product reference guide"
	case "05F9":
		return "Scan the code for USB COM among the interfaces in its Datalogic manual"
	}
	return "Scan the programming code for HID POS or USB serial (CDC-ACM, COM port emulation) in its manual"
}

// usbID is VID:PID, and the serial number where there is one.
func (f *Found) usbID() string {
	if f.Serial == "" {
		return f.VID + ":" + f.PID
	}
	return f.VID + ":" + f.PID + ":" + f.Serial
}

// suggest writes the [[device]] block for what has a node. It names the node in a way that stays true after replugging: by a link
// of udev, or by USB id, unless another thing is alike.
func (f *Found) suggest(names map[string]int, alike bool) {
	var path string
	switch {
	case f.Node == "" || f.Kind == USB || f.Kind == HID && f.Driver == "":
		return
	case f.ByID != "":
		path = f.ByID
	case f.VID == "" || alike || f.Kind == Serial && f.Serial == "":
		path = f.Node
	default:
		path = f.usbID()
	}
	scheme := map[Kind]string{Serial: "serial:", Printer: "file:", HID: "hidraw:"}[f.Kind]
	if f.Driver == "wedge" {
		scheme = "evdev:"
		if alike { // a hidraw node is none of evdev
			f.Note += " Another one is alike: name its link in /dev/input/by-path as the port."
			return
		}
	}
	name, driver := string(f.Seems), f.Driver
	if name == "" {
		name = "device"
	}
	if f.Seems == devices.POSPrinter {
		name = "printer"
	}
	if names[name]++; names[name] > 1 {
		name += "-" + strconv.Itoa(names[name])
	}
	block := "[[device]]\nname = " + strconv.Quote(name) + "\n"
	if driver == "" {
		block += "driver = \"\"  # escpos, zvt, scanner or another; see the documentation\n"
	} else {
		block += "driver = " + strconv.Quote(driver) + "\n"
	}
	f.ConfigLines = block + "port = " + strconv.Quote(scheme+path) + "\n"
}
