package discovery

import "storeagent/devices"

// known is what an id tells.
type known struct {
	vid, pid string // pid "" is the whole vendor
	vendor   string
	product  string
	seems    devices.Category
	driver   string
	note     string
}

const (
	converterNote = "A USB-to-serial converter: it does not tell what is behind it. Name the driver of the device at the other end."
	terminalNote  = "A payment terminal: ask the payment provider which protocol it speaks, and take that driver."
	starNote      = "For a Star printer in its own language. If its switches are set to ESC/POS, take driver escpos; the TSP100 before the TSP100IV needs profile = \"TSP100\"."
	cloneNote     = "This id is used by many printers without a name of their own; most understand ESC/POS."
	scaleNote     = "A USB scale that neither is a serial port nor says that it is a HID scale: set it to one of them, or use its serial socket."
)

// ids are the products and vendors of a counter. Names and numbers are those of usb.ids, except the printer clones,
// whose ids their users report. A product stands before its vendor.
var ids = []known{
	{"04B8", "0202", "Seiko Epson", "Receipt printer (UB-U05)", devices.POSPrinter, "escpos", ""},
	{"04B8", "0E03", "Seiko Epson", "TM-T20", devices.POSPrinter, "escpos", ""},
	{"04B8", "0E15", "Seiko Epson", "TM-T20II", devices.POSPrinter, "escpos", ""},
	{"04B8", "0E28", "Seiko Epson", "TM-T20III", devices.POSPrinter, "escpos", ""},
	{"04B8", "0E31", "Seiko Epson", "TM-L100", devices.POSPrinter, "escpos", ""},
	{"0519", "", "Star Micronics", "", devices.POSPrinter, "starprnt", starNote},
	{"1504", "", "Bixolon", "", devices.POSPrinter, "escpos", ""},
	{"1D90", "", "Citizen", "", devices.POSPrinter, "escpos", ""},
	{"2730", "", "Citizen", "", devices.POSPrinter, "escpos", ""},
	{"0DD4", "", "Custom Engineering", "", devices.POSPrinter, "escpos", ""},
	{"154F", "", "SNBC", "", devices.POSPrinter, "escpos", ""},
	{"076C", "", "Partner Tech", "", devices.POSPrinter, "escpos", ""},
	{"0416", "5011", "", "Receipt printer", devices.POSPrinter, "escpos", cloneNote},
	{"0483", "5743", "", "Receipt printer", devices.POSPrinter, "escpos", cloneNote},
	{"6868", "0500", "", "Receipt printer", devices.POSPrinter, "escpos", cloneNote},

	{"05E0", "", "Zebra (Symbol)", "", devices.Scanner, "scanner", ""},
	{"0C2E", "", "Honeywell (Metrologic)", "", devices.Scanner, "scanner", ""},
	{"0536", "", "Hand Held Products", "", devices.Scanner, "scanner", ""},
	{"05F9", "", "Datalogic (PSC)", "", devices.Scanner, "scanner", ""},
	{"1EAB", "", "Newland", "", devices.Scanner, "scanner", ""},
	{"065A", "", "Opticon", "", devices.Scanner, "scanner", ""},

	{"0B00", "", "Ingenico", "", devices.PaymentTerminal, "", terminalNote},
	{"079B", "", "Sagem (Ingenico)", "", devices.PaymentTerminal, "", terminalNote},
	{"11CA", "", "Verifone", "", devices.PaymentTerminal, "", terminalNote},

	{"0403", "", "FTDI", "", "", "", converterNote},
	{"067B", "", "Prolific", "", "", "", converterNote},
	{"1A86", "", "QinHeng (CH340)", "", "", "", converterNote},
	{"10C4", "EA60", "Silicon Labs", "CP210x", "", "", converterNote},

	{"0EB8", "", "Mettler Toledo", "", devices.Scale, "", scaleNote},
	{"0922", "8003", "Dymo", "M10 scale", devices.Scale, "", scaleNote},
	{"0922", "8004", "Dymo", "M25 scale", devices.Scale, "", scaleNote},
	{"0922", "8009", "Dymo", "Scale", devices.Scale, "", scaleNote},
	{"1446", "", "Dymo Endicia", "", devices.Scale, "", scaleNote},

	{"0801", "", "MagTek", "", "", "", "A card reader: cards are read by the payment terminal only, so it cannot be used here."},
	{"0ACD", "", "ID Tech", "", "", "", "A card reader: cards are read by the payment terminal only, so it cannot be used here."},
}

func lookUp(vid, pid string) (known, bool) {
	for _, k := range ids {
		if vid != "" && k.vid == vid && (k.pid == "" || k.pid == pid) {
			return k, true
		}
	}
	return known{}, false
}
