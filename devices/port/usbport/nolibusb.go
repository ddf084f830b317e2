//go:build !cgo || nolibusb

package usbport

import (
	"context"

	"storeagent/devices/port"
)

// Open says what to use instead: this build has no libusb.
func Open(_ context.Context, a port.Address) (port.Port, error) {
	t, err := parse(a)
	if err != nil {
		return nil, err
	}
	return nil, t.fail(port.BadAddress, "use the kernel's own node, like file:/dev/usb/lp0 for a printer (sudo modprobe usblp makes it) or hidraw:"+
		a.Target+" for a scanner or scale, or an agent built with libusb: CGO_ENABLED=1 go build ./cmd/storeagent", ErrNoLibusb)
}
