//go:build !linux

package devices

import (
	"context"
	"errors"
)

// WatchHotplug says that it cannot listen here; devices are found by trying again and again.
func WatchHotplug(context.Context, func()) error {
	return errors.New("watch for plugged devices: only Linux tells of them")
}
