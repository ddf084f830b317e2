//go:build !linux

package devicesim

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

func openRaw() (master, slave *os.File, err error) {
	return nil, nil, fmt.Errorf("simulated serial ports need Linux, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
