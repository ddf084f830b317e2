package port

import "net/url"

// Address is a configured port: "serial:/dev/ttyUSB0?baud=9600", "tcp:10.0.0.5:9100", "file:/dev/usb/lp0". It is a
// struct so that a strict decoder calls UnmarshalText. ParseAddress makes one.
type Address struct {
	Scheme string     // serial, tcp or file
	Target string     // path, by-id link, COM name, VID:PID[:SERIAL], or HOST:PORT
	Params url.Values // what stood behind "?"
}
