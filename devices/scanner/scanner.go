// Package scanner is the Scanner category: bytes from a serial, CDC-ACM or TCP scanner become scans with a
// symbology, and whatever looks like a payment card is refused before anybody sees it.
//
// It is called by register (through a Sink) and wired by cmd. It imports devices and devices/port, never register:
// prices and items are not its business.
package scanner

import (
	"context"
	"time"

	"storeagent/devices"
	"storeagent/devices/scanner/gs1"
)

// Scan is one complete bar code as read.
type Scan struct {
	Scanner   string
	Symbology string // word of the API contract, section 8: ean13, qr, unknown, …
	AIM       string // AIM identifier with its bracket, "" where the scanner sends none
	Data      []byte // without the AIM identifier, prefix and suffix
	GTIN      string // 14 digits, "" where there is none
	At        time.Time

	// What a GS1 symbol or a GS1 Digital Link holds. With GS1Errors there are no elements.
	GS1         map[string]string // value by application identifier
	GS1Errors   []gs1.Fault
	GS1Warnings []gs1.Fault // identifiers without the company they need
	Link        bool        // the data is a Digital Link
	Weight      string      // net weight in kilograms, decimal text
	Price       string      // amount payable, decimal text
}

// Sink receives what scanners read. Calls of one scanner come one at a time and in order; a Sink that returns an
// error makes the scanner report the scan as lost.
type Sink interface {
	Scanned(ctx context.Context, s Scan) error
	// Refused tells of a read that looked like a payment card; only its length is known.
	Refused(ctx context.Context, scanner string, length int, at time.Time)
}

// Options are the driver's settings from the configuration.
type Options struct {
	Prefix string `toml:"prefix"` // bytes before each code, stripped
	Suffix string `toml:"suffix"` // bytes that end a code; default CR, LF or CRLF
	GapMS  int    `toml:"gap_ms"` // without a suffix: silence that ends a code
	DupMS  int    `toml:"dup_ms"` // the same code again within so many milliseconds is one scan; 0 is off
}

var _ = devices.Scanner
