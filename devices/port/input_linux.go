package port

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// openInput opens a node that only gives, and takes it for us alone by claim.
func openInput(a Address, path string, claim func(fd uintptr) error) (*inputNode, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, inputError(a, path, err)
	}
	if err := f.SetReadDeadline(time.Time{}); err != nil {
		_ = f.Close()
		return nil, &Error{Op: "open", Address: a.String(), Kind: BadAddress, Hint: "name the node of a device, like " + examples[a.Scheme],
			Err: fmt.Errorf("%s is no device node", path)}
	}
	raw, err := f.SyscallConn()
	if err == nil {
		var refused error
		err = raw.Control(func(fd uintptr) { refused = claim(fd) })
		err = errors.Join(err, refused)
	}
	if err != nil {
		_ = f.Close()
		return nil, inputError(a, path, err)
	}
	return &inputNode{&node{File: f, address: a.String(), closed: make(chan struct{})}}, nil
}

// InputReport implements Reports by HIDIOCGINPUT, _IOC(READ|WRITE, 'H', 0x0A, length) (include/uapi/linux/hidraw.h, Linux 5.11).
func (n *hidNode) InputReport(b []byte) (int, error) {
	raw, err := n.SyscallConn()
	if err != nil {
		return 0, err
	}
	if len(b) == 0 || len(b) > maxReport {
		return 0, syscall.EINVAL
	}
	var got uintptr
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		got, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, 0xC0000000|uintptr(len(b))<<16|'H'<<8|0x0A, uintptr(unsafe.Pointer(&b[0])))
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("HIDIOCGINPUT", errno)
	}
	if err != nil {
		return 0, err
	}
	return int(got), nil
}

// lockNode locks the node against others that lock it. EWOULDBLOCK means that somebody has it.
func lockNode(fd uintptr) error {
	if err := syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return syscall.EBUSY
	} else if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}

// eviocgrab is EVIOCGRAB, _IOW('E', 0x90, int) (include/uapi/linux/input.h).
const eviocgrab = 0x40044590

// grabNode makes the kernel give the events of the node to us alone. EBUSY means that somebody has it.
func grabNode(fd uintptr) error {
	switch _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, eviocgrab, 1); errno {
	case 0:
		return nil
	case syscall.ENOTTY, syscall.EINVAL:
		return fmt.Errorf("it is no input device: %w", errno)
	default:
		return fmt.Errorf("grab: %w", errno)
	}
}

// inputError is OpenError with the hints of human interface devices: the kernel gives their nodes to root.
func inputError(a Address, path string, err error) error {
	e := OpenError(a.String(), path, err)
	switch e.Kind {
	case NoPermission:
		if group := groupOf(path); group == "" || group == "root" {
			subsystem := "hidraw"
			if a.Scheme == SchemeEvdev {
				subsystem = "input"
			}
			e.Hint = "only root may open " + path + `: let udev give it to a group, by a line in /etc/udev/rules.d like ` +
				`SUBSYSTEM=="` + subsystem + `", ATTRS{idVendor}=="0c2e", GROUP="input", MODE="0660", and put the service's user into that group`
		}
	case Failed:
		e.Hint = "check that " + path + " is the node of the scanner: storeagent devices shows what is plugged in"
	case InUse:
		e.Hint = busyHint(path, "another device of the configuration")
	}
	return e
}
