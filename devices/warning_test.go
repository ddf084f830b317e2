package devices

import "testing"

func TestWarning(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		name string
		info Info
		code string // "" for no warning
	}{
		{"well", Info{State: Ready, Category: POSPrinter, Status: Status{CoverOpen: &no, RecNearEnd: &no}}, ""},
		{"one-way", Info{State: Ready, Category: POSPrinter, Status: Status{Text: "one-way: it answers nothing"}}, "silent"},
		{"nearly out of paper", Info{State: Busy, Category: POSPrinter, Status: Status{CoverOpen: &no, RecNearEnd: &yes}}, "paper_low"},
		{"works after a fault", Info{State: Claimed, Category: Scanner, LastError: &Problem{Code: "noise", Message: "garbage came"}}, "noise"},
		{"does not work", Info{State: Offline, Category: POSPrinter, LastError: &Problem{Code: "missing"}}, ""},
		{"out of paper", Info{State: Error, Category: POSPrinter, Status: Status{RecNearEnd: &yes}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.info.Warning()
			if got == nil && c.code != "" || got != nil && (got.Code != c.code || got.Message == "") {
				t.Errorf("%+v, want %q", got, c.code)
			}
			if c.info.LastError != nil && c.info.LastError.Message == "works, but garbage came" {
				t.Error("the device's own problem was changed")
			}
		})
	}
}
