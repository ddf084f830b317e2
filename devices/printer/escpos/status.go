package escpos

import (
	"storeagent/devices"
	"storeagent/devices/printer"
)

// status is what the printer last said of itself. Bits as in Epson's reference of DLE EOT and GS a.
type status struct {
	offline   bool
	cover     bool
	stopped   bool // paper end, as DLE EOT 2 has it
	paperEnd  bool // paper end, as the sensor has it
	nearEnd   bool
	failed    bool // any error, as DLE EOT 2 has it
	fault     bool // cutter, unrecoverable or auto-recoverable error
	drawerPin bool // pin 3 of the drawer socket is high
}

// realTime takes the answer to DLE EOT n.
func (s *status) realTime(n, b byte) {
	switch n {
	case 1:
		s.drawerPin = b&0x04 != 0
		s.offline = b&0x08 != 0
	case 2:
		s.cover = b&0x04 != 0
		s.stopped = b&0x20 != 0
		s.failed = b&0x40 != 0
	case 3:
		s.fault = b&0x68 != 0
	case 4:
		s.nearEnd = b&0x0C != 0
		s.paperEnd = b&0x60 != 0
	}
}

// auto takes the four bytes of an ASB.
func (s *status) auto(b []byte) {
	*s = status{
		drawerPin: b[0]&0x04 != 0,
		offline:   b[0]&0x08 != 0,
		cover:     b[0]&0x20 != 0,
		fault:     b[1]&0x68 != 0,
		nearEnd:   b[2]&0x03 != 0,
		paperEnd:  b[2]&0x0C != 0,
	}
}

// reason is why the printer can't print now, or "".
func (s *status) reason() printer.Reason {
	switch {
	case s.cover:
		return printer.CoverOpen
	case s.paperEnd || s.stopped:
		return printer.PaperOut
	case s.fault || s.failed:
		return printer.ErrorState
	case s.offline:
		return printer.OfflineState
	}
	return ""
}

// show puts a status into the words of devices. level is Options.DrawerOpenLevel.
func (s *status) show(level string) devices.Status {
	empty := s.paperEnd || s.stopped
	out := devices.Status{CoverOpen: &s.cover, RecEmpty: &empty, RecNearEnd: &s.nearEnd}
	if level != "" {
		open := s.drawerPin == (level == "high")
		out.DrawerOpened = &open
	}
	return out
}
