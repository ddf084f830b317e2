package main

import (
	"log/slog"

	"golang.org/x/image/font/gofont/gomono"

	"storeagent/devices/printer/preview"
	"storeagent/devices/printer/typeset"
)

// newTypesetter draws what no code page has: Latin, Greek and Cyrillic with a font of this program, so that figures look
// alike on every machine, the rest with the machine's own.
func newTypesetter(log *slog.Logger) *typeset.Typesetter {
	return typeset.New(log, typeset.Options{Builtin: [][]byte{gomono.TTF}, System: true})
}

// newPaper draws whole receipts, for printers that take nothing but dots.
func newPaper(fonts *typeset.Typesetter) (*preview.Renderer, error) {
	if fonts == nil {
		return preview.New(nil)
	}
	return preview.New(fonts)
}
