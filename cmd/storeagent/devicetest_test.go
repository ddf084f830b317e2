package main

import (
	"bytes"
	"context"
	"testing"

	"storeagent/devices"
	"storeagent/devices/printer"
	"storeagent/payments"
)

func TestShowTerminal(t *testing.T) {
	info := payments.TerminalInfo{
		Name: "card", Driver: "zvt", State: devices.Ready, Model: "ZVT 1.0", TerminalID: "52523535",
		Capabilities: payments.Caps{Sale: true, Refund: true, Cancel: true}, Status: devices.Status{Text: "ready"},
	}
	doubt, sick := info, info
	doubt.Blocking = "019ab"
	sick.State, sick.Status.Text, sick.Model, sick.TerminalID = devices.Error, "end of day needed", "", ""
	for _, c := range []struct {
		what string
		t    payments.TerminalInfo
		want string
	}{
		{"ready", info, `card (zvt tcp:10.0.0.8:20007): ready, it says: ready
  model ZVT 1.0, terminal id 52523535
  can: sale, refund, cancel
It can take a payment now. No money was moved by this test.
`},
		{"in doubt", doubt, `card (zvt tcp:10.0.0.8:20007): ready, it says: ready
  model ZVT 1.0, terminal id 52523535
  can: sale, refund, cancel
It takes no new money: payment 019ab is in doubt.
→ look at the terminal's slips and say how it ended: POST /v1/payments/019ab/resolve
`},
		{"sick", sick, `card (zvt tcp:10.0.0.8:20007): error, it says: end of day needed
  model unknown, terminal id unknown
  can: sale, refund, cancel
→ see the terminal's own display, then storeagent check
`},
	} {
		var out bytes.Buffer
		showTerminal(&env{ctx: context.Background(), stdout: &out}, c.t, devices.Info{Port: "tcp:10.0.0.8:20007"})
		if out.String() != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.what, out.String(), c.want)
		}
	}
}

func TestShowPrinted(t *testing.T) {
	for _, c := range []struct {
		job           printer.Job
		lacking, hint string
		want          string
	}{
		{printer.Job{State: printer.Printed}, "", "", "paper (escpos file:/dev/usb/lp0, 42 columns): printed: the printer confirmed it\n"},
		{printer.Job{State: printer.Sent}, "", "look", "paper (escpos file:/dev/usb/lp0, 42 columns): sent\n→ look\n"},
		{printer.Job{State: printer.Blocked, Reason: printer.PaperOut}, "", "put in a roll",
			"paper (escpos file:/dev/usb/lp0, 42 columns): blocked, paper out\n→ put in a roll\nThe page stays queued and is printed as soon as the printer can.\n"},
		{printer.Job{State: printer.Failed, Error: "cut off"}, "", "", "paper (escpos file:/dev/usb/lp0, 42 columns): failed: cut off\n"},
		{printer.Job{State: printer.Printed}, "no code page has €", "",
			"paper (escpos file:/dev/usb/lp0, 42 columns): printed: the printer confirmed it\nWithout the line of letters: no code page has €\n→ set codepages in its [device.options] to the ones in its self test\n"},
	} {
		var out bytes.Buffer
		showPrinted(&env{ctx: context.Background(), stdout: &out}, devices.Info{Name: "paper", Driver: "escpos", Port: "file:/dev/usb/lp0"}, c.job, 42, c.lacking, c.hint)
		if out.String() != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.job.State, out.String(), c.want)
		}
	}
}
