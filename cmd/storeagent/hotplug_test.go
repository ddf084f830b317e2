package main

import (
	"storeagent/devices/display"
	"storeagent/devices/printer/escpos"
	"storeagent/devices/scale"
	"storeagent/devices/scanner"
	"storeagent/payments/pax"
	"storeagent/payments/telium"
	"storeagent/payments/zvt"
)

// Every device behind a port that can be plugged in is found at once: devices.Set asks for this method.
var _ = []interface{ Wake() }{
	(*zvt.Terminal)(nil), (*pax.Terminal)(nil), (*telium.Terminal)(nil), (*escpos.Printer)(nil), (*display.Display)(nil),
	(*scale.Serial)(nil), (*scale.HID)(nil), (*scanner.Scanner)(nil),
}
