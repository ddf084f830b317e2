//go:build !linux

package devicesim

import (
	"errors"
	"fmt"
	"runtime"
)

// Replug needs the Linux kernel's vhci-hcd.
func (d *USBDevice) Replug() error {
	return fmt.Errorf("simulated USB devices need Linux, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
