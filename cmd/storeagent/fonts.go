package main

import (
	"log/slog"

	"golang.org/x/image/font/gofont/gomono"

	"storeagent/devices/printer/typeset"
)

// newTypesetter draws what no code page has: Latin, Greek and Cyrillic with a font of this program, so that figures look
// alike on every machine, the rest with the machine's own.
func newTypesetter(log *slog.Logger) *typeset.Typesetter {
	return typeset.New(log, typeset.Options{Builtin: [][]byte{gomono.TTF}, System: true})
}
