package devicesim

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// vhci is the kernel's host controller for devices that are not there (kernel, drivers/usb/usbip/vhci_sysfs.c).
const vhci = "/sys/devices/platform/vhci_hcd.0"

// fullSpeed is the kernel's number for 12 Mbit/s (include/uapi/linux/usb/ch9.h).
const fullSpeed = 2

// Replug hands the device to this machine's kernel, which then makes its nodes and drivers as for a real one. It needs
// root and the kernel module vhci-hcd. While the device is plugged in, it does nothing.
func (d *USBDevice) Replug() error {
	d.mu.Lock()
	plugged := d.conn != nil
	d.mu.Unlock()
	if plugged {
		return nil
	}
	ports, err := freePorts(filepath.Join(vhci, "status"))
	if err != nil {
		return fmt.Errorf("plug in a simulated USB device: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	defer func() { _ = unix.Close(pair[0]) }() // the kernel holds its own reference
	if err := unix.SetNonblock(pair[1], true); err != nil {
		_ = unix.Close(pair[1])
		return os.NewSyscallError("set non-blocking", err)
	}
	conn := os.NewFile(uintptr(pair[1]), "usb")
	for _, n := range ports { // another program may take one meanwhile
		attach := fmt.Sprintf("%d %d %d %d", n, pair[0], 1<<16|(n+2), fullSpeed)
		if err = write("attach", attach); err == nil {
			if err = d.plug(conn, func() error { return write("detach", strconv.Itoa(n)) }); err != nil {
				_ = write("detach", strconv.Itoa(n))
				break
			}
			go func() { _ = d.serve(conn) }() // ends with Unplug; that the kernel let go is seen in Read
			return nil
		}
	}
	_ = conn.Close()
	return fmt.Errorf("plug in a simulated USB device: %w", err)
}

func write(attribute, text string) error {
	return os.WriteFile(filepath.Join(vhci, attribute), []byte(text), 0o200)
}

// freePorts are the numbers of the controller's free ports, by its status.
func freePorts(status string) ([]int, error) {
	b, err := os.ReadFile(status)
	if err != nil {
		return nil, fmt.Errorf("this kernel has no vhci_hcd, which takes simulated USB devices (run: sudo modprobe vhci-hcd; some kernels lack it): %w", err)
	}
	var free []int
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := strings.Fields(s.Text()) // hub port sta spd dev sockfd local_busid
		if len(f) < 3 || f[0] != "hs" || f[2] != "004" {
			continue
		}
		if n, err := strconv.Atoi(f[1]); err == nil {
			free = append(free, n)
		}
	}
	if len(free) == 0 {
		return nil, errors.New("all ports of vhci_hcd are taken")
	}
	return free, nil
}
