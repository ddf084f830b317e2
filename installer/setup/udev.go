package setup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"storeagent/devices"
	"storeagent/devices/discovery"
	"storeagent/devices/port"
)

const rulesHead = `# Opens the devices of a counter to the user storeagent, and keeps ModemManager from trying them out as modems.
# Made by storeagent install; it is written anew by the next one. Serial ports and printers with a node of their own are
# open to the groups dialout and lp, of which that user is a member.
ACTION=="remove", GOTO="storeagent_end"
`

// rules are the udev rules (udev(7)): for the ids of devices that stand on counters, and for the devices that the
// configuration names by id or by path.
func (r *runner) rules() string {
	var b strings.Builder
	b.WriteString(rulesHead)
	for _, id := range discovery.IDs() {
		b.WriteString(idRules(id.VID, id.PID, strings.TrimSpace(id.Vendor+" "+id.Product), schemesOf(id.Seems)))
	}
	if r.Config != nil {
		for _, d := range r.Config.Devices {
			vid, pid, _, byID := d.Port.USBID()
			switch {
			case byID:
				b.WriteString(idRules(vid, pid, "configured as "+d.Name, []string{d.Port.Scheme}))
			case d.Port.Scheme == port.SchemeSerial:
				b.WriteString(pathRule(d.Name, d.Port.Target))
			}
		}
	}
	b.WriteString("\nLABEL=\"storeagent_end\"\n")
	return b.String()
}

// schemesOf are the ways in which a kind of device is opened that need a rule.
func schemesOf(c devices.Category) []string {
	switch c {
	case devices.POSPrinter:
		return []string{port.SchemeUSB}
	case devices.Scanner, devices.Scale:
		return []string{port.SchemeHIDRaw, port.SchemeSerial}
	case devices.PaymentTerminal:
		return []string{port.SchemeSerial}
	}
	return nil
}

// idRules open a device by its USB id; pid "" is the whole vendor.
func idRules(vid, pid, what string, schemes []string) string {
	vid, pid = strings.ToLower(vid), strings.ToLower(pid)
	match := func(key string) string {
		s := fmt.Sprintf(`%s{idVendor}=="%s"`, key, vid)
		if pid != "" {
			s += fmt.Sprintf(`, %s{idProduct}=="%s"`, key, pid)
		}
		return s
	}
	const open = `GROUP="` + Name + `", MODE="0660"`
	var lines []string
	for _, s := range schemes {
		switch s {
		case port.SchemeUSB:
			// Printers of the printer class (07) are the group lp's already; CUPS must keep them.
			lines = append(lines, `SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", `+match("ATTR")+`, ENV{ID_USB_INTERFACES}!="*:0701*:*", `+open)
		case port.SchemeHIDRaw:
			lines = append(lines, `SUBSYSTEM=="hidraw", `+match("ATTRS")+`, `+open)
		case port.SchemeEvdev:
			lines = append(lines, `SUBSYSTEM=="input", KERNEL=="event*", `+match("ATTRS")+`, `+open)
		case port.SchemeSerial:
			lines = append(lines, `SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", `+match("ATTR")+`, ENV{ID_MM_DEVICE_IGNORE}="1"`)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return "\n# " + oneLine(what) + "\n" + strings.Join(lines, "\n") + "\n"
}

// pathRule keeps modem managers off a serial port that is configured by its path, a link to it included.
func pathRule(name, path string) string {
	if !filepath.IsAbs(path) || strings.ContainsAny(path, "\"\n*?[]|") {
		return ""
	}
	match := fmt.Sprintf(`KERNEL=="%s"`, strings.TrimPrefix(path, "/dev/"))
	if slices.ContainsFunc([]string{"/dev/serial/", "/dev/storeagent/"}, func(p string) bool { return strings.HasPrefix(path, p) }) {
		match = fmt.Sprintf(`ENV{DEVLINKS}=="*%s*"`, path)
	}
	return "\n# configured as " + oneLine(name) + "\n" + `SUBSYSTEM=="tty", ` + match + `, ENV{ID_MM_PORT_IGNORE}="1"` + "\n"
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
