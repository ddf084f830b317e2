// Package usbport opens the bulk pipes of a USB device by its id, for printers that have no node of the kernel.
//
// It is called by cmd (as a row of the port table). It is the only importer of gousb and imports nothing of this module
// but devices/port. gousb needs cgo and libusb's headers, so it is built with the tag libusb only; without the tag, Open
// says what to use instead.
// Pipes follow the printer class (USB-IF, Printing Devices 1.1): one bulk OUT, and a bulk IN where the device answers.
package usbport

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// noPermission is the error for a device that this user may not open.
func (t target) noPermission(cause error) error {
	return t.fail(port.NoPermission, fmt.Sprintf("let the service's user open it by a udev rule: SUBSYSTEM==\"usb\", ATTR{idVendor}==\"%04x\", ATTR{idProduct}==\"%04x\", GROUP=\"storeagent\", MODE=\"0660\"",
		t.vid, t.pid), cause)
}

// busy is the error for a device that somebody else has claimed; node is its file below /dev/bus/usb.
func (t target) busy(node string, cause error) error {
	hint := "end the program that uses it; often it is CUPS, or another device of the configuration"
	if who := holders(node); len(who) > 0 {
		hint = "it is held by " + strings.Join(who, " and ") + ": end that program, or remove the printer from CUPS"
		cause = fmt.Errorf("held by %s: %w", strings.Join(who, " and "), cause)
	}
	return t.fail(port.InUse, hint, cause)
}

// holders are the processes that have the node open, as far as this user may see them (proc(5)): several where the open
// that fails is in one of them. Ours counts only where it has claimed the device, twice open.
func holders(node string) []string {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well-formed
	open := make(map[int]int)
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != node {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil {
			open[pid]++
		}
	}
	var out []string
	for pid, times := range open {
		if pid == os.Getpid() && times < 2 {
			continue
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil {
			continue
		}
		out = append(out, fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(name)), pid))
	}
	slices.Sort(out)
	return out
}
