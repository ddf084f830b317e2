// Package usbport opens the pipes of a USB device by its id: the bulk pipes of a printer, or the input reports of a scanner or
// scale, where the kernel has no node for it.
//
// It is called by cmd (as a row of the port table). It is the only importer of gousb and imports nothing of this module
// but devices/port. gousb needs cgo and libusb's headers: a build without cgo, or with the tag nolibusb, has an Open that
// says what to use instead.
// Pipes follow the printer class (USB-IF, Printing Devices 1.1): one bulk OUT, and a bulk IN where the device answers; or the
// class of human interface devices (HID 1.11): an interrupt IN.
package usbport

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"storeagent/devices/port"
)

// ErrNoLibusb is the cause of every failed Open in a build without libusb.
var ErrNoLibusb = errors.New("this build has no libusb")

// target is what an address asks for.
type target struct {
	address  string
	vid, pid uint16
	serial   string // "" for any
	number   int    // of the interface, -1 for the first that fits
}

func parse(a port.Address) (target, error) {
	t := target{address: a.String()}
	bad := func(why string) (target, error) {
		return target{}, &port.Error{Op: "open", Address: t.address, Kind: port.BadAddress, Hint: "write it like usb:04B8:0202", Err: errors.New(why)}
	}
	vid, pid, serial, ok := a.USBID()
	if !ok {
		return bad("it has no vendor and product id")
	}
	for _, id := range []struct {
		text string
		to   *uint16
	}{{vid, &t.vid}, {pid, &t.pid}} {
		n, err := strconv.ParseUint(id.text, 16, 16)
		if err != nil {
			return bad(err.Error())
		}
		*id.to = uint16(n)
	}
	number, err := a.Interface()
	if err != nil {
		return bad(err.Error())
	}
	t.serial, t.number = serial, number
	return t, nil
}

// fail makes the error of an Open.
func (t target) fail(kind port.Kind, hint string, err error) error {
	return &port.Error{Op: "open", Address: t.address, Kind: kind, Hint: hint, Err: err}
}

// missing is the error for a device that is not there; others are those that are.
func (t target) missing(others []string) error {
	hint := "check the cable and the power of the device"
	if len(others) > 0 {
		slices.Sort(others)
		hint += "; plugged in are " + strings.Join(slices.Compact(others), ", ")
	}
	return t.fail(port.Missing, hint, errors.New("no USB device of that id"))
}
