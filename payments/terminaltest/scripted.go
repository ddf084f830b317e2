package terminaltest

import (
	"encoding/hex"
	"strings"
	"testing"

	"storeagent/payments/wireline"
)

// Simulated is what the simulated terminals have in common. B is a behaviour of their scripts, C a charge of their
// ledgers.
type Simulated[B, C any] interface {
	SetScript(list []B)
	Charges() []C
	Asked() int
}

// Scripted gives the part of a Harness that every simulated terminal fills in alike, and how it is told what to do:
// script takes the text that parse understands.
func Scripted[B, C any](t testing.TB, sim Simulated[B, C], parse func(string) ([]B, error), charge func(C) Charge) (h Harness, script func(text string)) {
	script = func(text string) {
		list, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		sim.SetScript(list)
	}
	return Harness{
		Asked: sim.Asked,
		Next:  func(b Behaviour) { script(Words(b)) },
		Charges: func() []Charge {
			var out []Charge
			for _, c := range sim.Charges() {
				out = append(out, charge(c))
			}
			return out
		},
	}, script
}

// Unhex reads a vector; blanks in it do not count.
func Unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Split hands the text of a frame over (STX, ETX, checksum) whose bytes came cut in two, at every place.
func Split(t testing.TB, wire []byte, longest int, check func(text []byte)) {
	t.Helper()
	for cut := range len(wire) + 1 {
		d := &wireline.Deframer{Max: longest}
		signs := append(d.Feed(wire[:cut]), d.Feed(wire[cut:])...)
		if len(signs) != 1 || signs[0].Code != wireline.STX {
			t.Fatalf("cut at %d: %+v", cut, signs)
		}
		check(signs[0].Text)
	}
}
