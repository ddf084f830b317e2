// Package zvt drives a card terminal that speaks ZVT, the protocol of German and Austrian terminals, over a serial
// line or TCP.
//
// It is called by payments through the Terminal interface and wired by cmd; it imports devices, devices/port,
// payments and payments/money, never offline, register or a simulator. It follows PA00P015 (revision 13.08) and
// PA00P016 of the VdTH; comments name the command or chapter they rest on.
//
// The order of a payment is the point of this package: what will be sent is committed before its first byte, the
// result is committed before it is acknowledged, and slips are committed before the acknowledgement of their last
// line, because a terminal books only what the register acknowledged (PA00P015, 2.2.8 and 2.2.9).
//
// On TCP the connection is opened once and kept; it is opened anew when the terminal closes it or an exchange broke.
package zvt

import (
	"errors"
	"fmt"
)

// Commands, class and instruction in one number (PA00P015, chapter 2 register to terminal, chapter 3 the other way).
const (
	cmdRegister   = 0x0600
	cmdPay        = 0x0601
	cmdLogOff     = 0x0602
	cmdTip        = 0x060C
	cmdTotals     = 0x0610
	cmdRepeat     = 0x0620
	cmdPreauth    = 0x0622
	cmdCapture    = 0x0624 // names the amount used; 06 23 would name the amount given back
	cmdFree       = 0x0625 // cancels a preauth
	cmdReverse    = 0x0630
	cmdRefund     = 0x0631
	cmdEndOfDay   = 0x0650
	cmdDiagnosis  = 0x0670
	cmdInitialise = 0x0693
	cmdAbort      = 0x06B0
	cmdDisplay    = 0x06E0
	cmdStatus     = 0x0501

	msgTime         = 0x0401
	msgStatusInfo   = 0x040F
	msgIntermediate = 0x04FF
	msgCompletion   = 0x060F
	msgAborted      = 0x061E
	msgPrintLine    = 0x06D1
	msgPrintBlock   = 0x06D3
)

// Answers to a command (PA00P016, chapter 5): 80 00 00 takes it, 84 xx 00 refuses it with an error code.
const (
	classOK     = 0x80
	classRefuse = 0x84
)

// Error codes that we refuse with or look for (PA00P015, chapter 10).
const (
	codeImpossible = 0x83
	codeProtocol   = 0x9A
	codeNoPrinter  = 0xCC
)

// maxData is the longest data part that an APDU can announce (FF lo hi).
const maxData = 0xFFFF

// errShort means that an APDU is not complete yet.
var errShort = errors.New("APDU is not complete")

// apdu is one message of either side.
type apdu struct {
	cmd  uint16 // class and instruction
	data []byte
}

func (a apdu) String() string { return fmt.Sprintf("%02X %02X", a.class(), byte(a.cmd)) }

func (a apdu) class() byte { return byte(a.cmd >> 8) }

// isAnswer tells answers to a command from messages that want one.
func (a apdu) isAnswer() bool { return a.class() == classOK || a.class() == classRefuse }

func answerOK() apdu { return apdu{cmd: classOK << 8} }

func refuse(code byte) apdu { return apdu{cmd: classRefuse<<8 | uint16(code)} }

// encode gives the bytes: class, instruction, length (00 to FE, or FF lo hi), data. Data beyond maxData is a
// programming error: nothing here builds any.
func (a apdu) encode() []byte {
	n := len(a.data)
	if n > maxData {
		panic(fmt.Sprintf("zvt: %d bytes of data in one APDU", n))
	}
	out := make([]byte, 0, n+5)
	out = append(out, a.class(), byte(a.cmd))
	if n < 0xFF {
		out = append(out, byte(n))
	} else {
		out = append(out, 0xFF, byte(n), byte(n>>8))
	}
	return append(out, a.data...)
}

// parseAPDU reads the APDU that b begins with and says how long it was. errShort asks for more bytes. The data is a
// copy.
func parseAPDU(b []byte) (a apdu, size int, err error) {
	if len(b) < 3 {
		return apdu{}, 0, errShort
	}
	head, n := 3, int(b[2])
	if n == 0xFF {
		if len(b) < 5 {
			return apdu{}, 0, errShort
		}
		head, n = 5, int(b[3])|int(b[4])<<8
	}
	if len(b) < head+n {
		return apdu{}, 0, errShort
	}
	a.cmd = uint16(b[0])<<8 | uint16(b[1])
	if n > 0 {
		a.data = append([]byte(nil), b[head:head+n]...)
	}
	return a, head + n, nil
}

// parseWhole reads b as exactly one APDU.
func parseWhole(b []byte) (apdu, error) {
	a, n, err := parseAPDU(b)
	if err == nil && n != len(b) {
		err = fmt.Errorf("%d bytes behind the APDU", len(b)-n)
	}
	return a, err
}
