//go:build !linux

package port

import (
	"errors"
	"runtime"
)

var errOnlyLinux = errors.New("these ports exist on Linux only, this is " + runtime.GOOS)

// openInput: there are no such nodes outside Linux.
func openInput(a Address, _ string, _ func(uintptr) error) (*inputNode, error) {
	return nil, &Error{Op: "open", Address: a.String(), Kind: BadAddress, Hint: "set the scanner to USB serial and use a serial: port", Err: errOnlyLinux}
}

func lockNode(uintptr) error { return errOnlyLinux }

func grabNode(uintptr) error { return errOnlyLinux }

// InputReport cannot be called: no node was opened.
func (n *hidNode) InputReport([]byte) (int, error) { return 0, errOnlyLinux }
