//go:build cgo && !nolibusb

package usbport

import (
	"fmt"
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
	if who := port.Holders(node, 1); len(who) > 0 {
		hint = "it is held by " + strings.Join(who, " and ") + ": end that program, or remove the printer from CUPS"
		cause = fmt.Errorf("held by %s: %w", strings.Join(who, " and "), cause)
	}
	return t.fail(port.InUse, hint, cause)
}
