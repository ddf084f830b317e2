package register_test

import (
	"slices"
	"testing"

	"storeagent/devices"
	"storeagent/register/wire"
)

// TestStatusWarns names what storeagent check warns of, although every device works.
func TestStatusWarns(t *testing.T) {
	m := newMemory()
	yes := true
	printers := []devices.Info{
		{Name: "plain", Category: devices.POSPrinter, State: devices.Ready, Port: "serial:/dev/ttyS0", Status: devices.Status{Text: "one-way: the printer answers nothing"}},
		{Name: "low", Category: devices.POSPrinter, State: devices.Ready, Status: devices.Status{CoverOpen: new(bool), RecNearEnd: &yes}},
	}
	m.devs = append(printers, m.devs...)
	var st wire.Status
	decode(t, ask{method: "GET", path: "/v1/status", token: observerToken}.do(t, newServer(t, m)).Body, &st)
	if !st.Can.Print {
		t.Error("a warning keeps from printing")
	}
	for code, message := range map[string]string{
		"device_silent":    "Device plain: serial:/dev/ttyS0 opens, but the printer answers nothing.",
		"device_paper_low": "Device low: the paper is nearly used up.",
	} {
		if !slices.ContainsFunc(st.Problems, func(p wire.StatusProblem) bool {
			return p.Code == code && p.Severity == "warning" && p.Message == message && p.Hint != ""
		}) {
			t.Errorf("problems %+v lack %s", st.Problems, code)
		}
	}
}
