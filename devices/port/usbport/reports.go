//go:build cgo && !nolibusb

package usbport

import (
	"time"

	"github.com/google/gousb"

	"storeagent/devices/port"
)

// Requests of a human interface device (USB-IF, HID 1.11, section 7).
const (
	descriptorIn    = 0x81 // to the interface, standard
	classIn         = 0xA1 // to the interface, class
	getDescriptor   = 0x06
	getReport       = 0x01
	typeReport      = 0x22 // of a descriptor
	inputReport     = 0x01
	longestReports  = 4096 // bytes of a report descriptor that are read
	controlPatience = 5 * time.Second
)

// reports are the pipes of a human interface device: each Read gives one input report. It is a port.Reports.
type reports struct {
	*pipes
	number     int
	descriptor []byte
}

var _ port.Reports = (*reports)(nil)

// asReports starts the pipes of a human interface device. One that does not describe itself gets reads of one packet.
func (p *pipes) asReports(s gousb.InterfaceSetting) *reports {
	r := &reports{pipes: p, number: s.Number}
	p.dev.ControlTimeout = controlPatience
	b := make([]byte, longestReports)
	if n, err := p.dev.Control(descriptorIn, getDescriptor, typeReport<<8, uint16(s.Number), b); err == nil {
		r.descriptor = b[:n]
	}
	p.start()
	// As the kernel does, a transfer is as long as the longest report, in whole packets (drivers/hid/usbhid/hid-core.c).
	_, longest := port.HIDUses(r.descriptor)
	size := p.in.Desc.MaxPacketSize
	p.packet = make([]byte, max(1, (longest+size-1)/size)*size)
	return r
}

// Descriptor implements port.Reports.
func (r *reports) Descriptor() []byte { return r.descriptor }

// InputReport implements port.Reports.
func (r *reports) InputReport(b []byte) (int, error) {
	r.inUse.RLock()
	defer r.inUse.RUnlock()
	if err := r.dead(); err != nil {
		return 0, err
	}
	return r.dev.Control(classIn, getReport, inputReport<<8|uint16(b[0]), uint16(r.number), b)
}
