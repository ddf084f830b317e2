// Package devicesim is simulated counter hardware: a receipt printer with its own reading of ESC/POS, a serial bar
// code scanner, and the ptys they sit behind, so that the real drivers' bytes run in tests, in the demo and under
// "storeagent simulate".
//
// It is called by tests and by cmd. It never imports what it imitates (devices/printer, devices/scanner and their
// drivers), so that one misreading cannot hide in both, nor the package testing.
package devicesim
