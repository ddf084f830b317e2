package devicesim

// NewUSBStar is the cable of a simulated Star printer with USB printer class; an id of zero is Star's TSP100. s has to
// Serve it; its paper is also seen in GET_PORT_STATUS.
func NewUSBStar(s *Star, id USBIdentity) *USBDevice {
	if id.VID == 0 {
		id.VID, id.PID, id.Manufacturer, id.Product = 0x0519, 0x0003, "SIM", "Star printer"
	}
	return newUSBPrinterClass(id, s.o.Model, "STAR", s.portStatus)
}
