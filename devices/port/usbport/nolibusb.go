//go:build !cgo || !libusb

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
	return nil, t.fail(port.BadAddress, "use the kernel's node, file:/dev/usb/lp0 (sudo modprobe usblp makes it), or an agent built with: go build -tags libusb ./cmd/storeagent", ErrNoLibusb)
}
