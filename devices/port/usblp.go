package port

import (
	"os"
	"path/filepath"
	"strings"
)

// usblp finds the nodes of printers by the USB id of their device (kernel, drivers/usb/class/usblp.c), since their numbers change
// with every replugging.
type usblp struct {
	sys string // "" means /sys/class/usbmisc
	dev string // "" means /dev/usb
}

// path is the node that a file address means.
func (u usblp) path(a Address) (string, error) {
	vid, pid, serial, ok := a.USBID()
	if !ok {
		return a.Target, nil
	}
	name, err := only(u.list(), vid, pid, serial)
	if err != nil {
		err.Address = a.String()
		return "", err
	}
	return filepath.Join(or(u.dev, "/dev/usb"), name), nil
}

func (u usblp) list() []usbNode {
	root := or(u.sys, "/sys/class/usbmisc")
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil // nothing of that kind was ever plugged in
	}
	var nodes []usbNode
	for _, entry := range entries {
		at, err := filepath.EvalSymlinks(filepath.Join(root, entry.Name(), "device")) // its interface
		if err != nil || !strings.HasPrefix(entry.Name(), "lp") {
			continue // pulled out meanwhile, or no printer
		}
		read := func(name string) string {
			text, err := os.ReadFile(filepath.Join(filepath.Dir(at), name))
			if err != nil {
				return ""
			}
			return strings.TrimSpace(string(text))
		}
		nodes = append(nodes, usbNode{name: entry.Name(), vid: strings.ToUpper(read("idVendor")), pid: strings.ToUpper(read("idProduct")), serial: read("serial")})
	}
	return nodes
}
