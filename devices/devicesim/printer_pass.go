package devicesim

import "bytes"

// pass gives the display behind the printer what comes while only that is selected (ESC = 2), and returns how much of b
// that was; 0 where the end of a command has not come yet, or the next command is for the printer.
func (p *Printer) pass(b []byte) int {
	i := bytes.Index(b, []byte{0x1B, '='})
	switch {
	case i >= 0 && len(b) < i+3:
		return 0
	case i < 0: // the display is passed whole commands, which end at the latest where the printer is selected again
		return 0
	}
	if p.o.Display == nil {
		p.complain("% X for a display that is not there", b[:i])
	} else {
		p.o.Display.Pass(b[:i])
	}
	p.passing = b[i+2]&1 == 0
	return i + 3
}
