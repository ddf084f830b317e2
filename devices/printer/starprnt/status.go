package starprnt

import (
	"storeagent/devices"
	"storeagent/devices/printer"
)

// status is what the printer last said of itself, by its automatic status (Star Line Mode, Appendix 2, "Printer Status",
// bytes 3 to 8).
type status struct {
	offline  bool
	cover    bool
	paperEnd bool
	nearEnd  bool
	fault    bool // cutter, mechanism, unrecoverable, head too hot; black mark, paper jam, head up or voltage
	overflow bool // it lost bytes, since it was last asked
	drawer   bool // the drawer switch is closed
	counter  int  // ETB counter, 0 to 31; -1 where the status has none
}

// parseStatus reads an automatic status with its two header bytes; it has at least minStatus bytes.
func parseStatus(b []byte) status {
	s := status{
		cover: b[2]&0x20 != 0, offline: b[2]&0x08 != 0, drawer: b[2]&0x04 != 0,
		fault:    b[3]&0x6E != 0 || b[4]&0x0E != 0,
		overflow: b[4]&0x40 != 0,
		paperEnd: b[5]&0x08 != 0, nearEnd: b[5]&0x06 != 0,
		counter: -1,
	}
	if len(b) > 7 {
		s.counter = int(b[7]>>1&0x07 | b[7]>>2&0x18)
	}
	return s
}

// reason is why the printer can't print now, or "".
func (s *status) reason() printer.Reason {
	switch {
	case s.cover:
		return printer.CoverOpen
	case s.paperEnd:
		return printer.PaperOut
	case s.fault:
		return printer.ErrorState
	case s.offline:
		return printer.OfflineState
	}
	return ""
}

// show puts a status into the words of devices. level is Options.DrawerOpenLevel.
func (s status) show(level string) devices.Status {
	out := devices.Status{CoverOpen: &s.cover, RecEmpty: &s.paperEnd, RecNearEnd: &s.nearEnd}
	if level != "" {
		open := s.drawer == (level == "high")
		out.DrawerOpened = &open
	}
	return out
}
