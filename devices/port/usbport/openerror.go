//go:build cgo && !nolibusb

package usbport

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"storeagent/devices/port"
)

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
