package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"storeagent/devices"
	"storeagent/devices/printer"
	"storeagent/payments"
	"storeagent/register/client"
	"storeagent/register/receipt"
	"storeagent/register/wire"
)

// device finds a configured device of that category at the running agent; without a name the only one.
func (e *env) device(name string, category devices.Category) (*client.Client, devices.Info, error) {
	a, err := e.agent()
	if err != nil {
		return nil, devices.Info{}, err
	}
	list, err := a.Devices(e.ctx)
	if err != nil {
		return nil, devices.Info{}, err
	}
	var fit []string
	var found devices.Info
	for _, d := range list {
		if d.Category != category {
			continue
		}
		if fit = append(fit, d.Name); d.Name == name || name == "" {
			found = d
		}
	}
	kind := map[devices.Category]string{devices.POSPrinter: "printer", devices.Scanner: "scanner", devices.PaymentTerminal: "card terminal"}[category]
	switch {
	case len(fit) == 0:
		return nil, found, &exitError{exitUsage, fmt.Errorf("no %s is configured; storeagent devices shows what is plugged in and the lines it wants", kind)}
	case found.Name == "":
		return nil, found, &exitError{exitUsage, fmt.Errorf("%s is no %s of the running agent; name one of these: %s (after a change of the configuration, restart storeagent)", name, kind, strings.Join(fit, ", "))}
	case name == "" && len(fit) > 1:
		return nil, found, &exitError{exitUsage, fmt.Errorf("there is more than one %s; name one of these: %s", kind, strings.Join(fit, ", "))}
	}
	return a, found, nil
}

type printTestCmd struct {
	Name      string        `arg:"" optional:"" help:"Of the printer in the configuration; may be left out where there is one."`
	Receipt   string        `help:"Print a made-up receipt instead: sale, refund, duplicate or bare." enum:",sale,refund,duplicate,bare" default:"" placeholder:"KIND"`
	StoreLogo string        `help:"Write this PNG into the printer's own memory, once, and print it from there. That memory wears out." placeholder:"FILE"`
	Key       string        `help:"Two characters to store it under." placeholder:"LG"`
	Wait      time.Duration `help:"How long to wait for the paper." default:"20s"`
	JSON      bool          `help:"The print job as one line of JSON."`
}

// Run prints a test page and says whether the printer confirmed it. Exit 0 only if it was printed or sent.
func (c printTestCmd) Run(e *env) error {
	a, d, err := e.device(c.Name, devices.POSPrinter)
	if err != nil {
		return err
	}
	columns, err := paperWidth(e.ctx, a, d.Name)
	if err != nil {
		return err
	}
	if c.StoreLogo != "" || c.Key != "" {
		return c.storeLogo(e, a, d, columns)
	}
	key := "print-test-" + uuid.NewString()
	page := testPage(d, columns, letters())
	if c.Receipt != "" {
		cfg, err := e.load()
		if err != nil {
			return err
		}
		doc, err := sampleReceipt(cfg, receipt.Kind(c.Receipt), columns)
		if err != nil {
			return err
		}
		page = wireOps(doc)
	}
	accepted, err := a.Print(e.ctx, key, d.Name, wire.PrintRequest{Content: wire.Content{Document: page}})
	lacking := ""
	var refused *client.Problem
	if errors.As(err, &refused) && refused.Status == 422 && c.Receipt == "" { // a letter that none of its code pages has
		lacking = refused.Detail
		for _, f := range refused.Errors {
			lacking = f.Message
		}
		accepted, err = a.Print(e.ctx, key+"-plain", d.Name, wire.PrintRequest{Content: wire.Content{Document: testPage(d, columns, "")}})
	}
	if err != nil {
		return err
	}
	job, err := a.PrintJob(e.ctx, accepted.ID, c.Wait)
	if err != nil {
		return err
	}
	hint := e.printHint(a, d.Name, job)
	if c.JSON {
		err = e.printJSON(struct {
			printer.Job
			Hint string `json:"hint,omitempty"`
		}{job, hint})
	} else {
		showPrinted(e, d, job, columns, lacking, hint)
	}
	if err == nil && job.State != printer.Printed && job.State != printer.Sent {
		err = &exitError{code: exitFailed}
	}
	return err
}

// letters beyond ASCII that the shops of Europe and America print.
func letters() string { return "ÄÖÜäöüß éèàç ñ € £" }

// paperWidth is the width of a printer's lines in characters, as the preview of a rule shows it.
func paperWidth(ctx context.Context, a *client.Client, name string) (int, error) {
	rule := wire.PreviewRequest{Printer: name, PrintRequest: wire.PrintRequest{Content: wire.Content{Document: []wire.Op{{Op: "rule"}}}}}
	text, err := a.Preview(ctx, rule)
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(text, "\n")
	return utf8.RuneCountInString(strings.TrimRight(line, "\r")), nil
}

// testPage shows on paper what goes wrong most: the line width, the letters, bar codes, and the cutter.
func testPage(d devices.Info, columns int, sample string) []wire.Op {
	yes := true
	var ruler strings.Builder
	for i := 1; i <= columns; i++ {
		ruler.WriteByte("0123456789"[i%10])
	}
	page := []wire.Op{
		{Op: "text", Text: "storeagent", Align: "center", Bold: true, Width: 2, Height: 2},
		{Op: "text", Text: "Test page of " + d.Name, Align: "center"},
		{Op: "text", Text: time.Now().Format(time.DateTime), Align: "center"},
		{Op: "rule"},
		{Op: "text", Text: fmt.Sprintf("%d columns, on one line:", columns)},
		{Op: "text", Text: ruler.String()},
		{Op: "columns", Cells: []printer.Cell{{Text: "left"}, {Text: "right", Align: "right"}}},
	}
	if sample != "" {
		page = append(page, wire.Op{Op: "text", Text: "Letters: " + sample})
	}
	return append(page,
		wire.Op{Op: "barcode", Symbology: "ean13", Data: "4006381333931", Height: 60, ShowText: &yes, Align: "center"},
		wire.Op{Op: "qrcode", Data: "storeagent test page", Align: "center"},
		wire.Op{Op: "text", Text: "All complete, and cut below? It works.", Align: "center"},
		wire.Op{Op: "feed", Lines: 3},
		wire.Op{Op: "cut"},
	)
}

// printHint is the next step for a page that did not come.
func (e *env) printHint(a *client.Client, name string, job printer.Job) string {
	switch job.State {
	case printer.Printed:
		return ""
	case printer.Sent:
		return "this printer cannot confirm: look whether the page is there"
	case printer.Unknown:
		return "the line broke while it printed: look at the paper"
	}
	list, err := a.Devices(e.ctx)
	if err == nil {
		for _, d := range list {
			if d.Name == name && d.LastError != nil {
				return d.LastError.Hint
			}
		}
	}
	return "see what storeagent check says of it"
}

func showPrinted(e *env, d devices.Info, job printer.Job, columns int, lacking, hint string) {
	words := map[printer.JobState]string{
		printer.Printed: "printed: the printer confirmed it", printer.Sent: "sent", printer.Unknown: "unknown",
		printer.Queued: "still queued", printer.Sending: "still printing", printer.Failed: "failed",
		printer.Blocked: "blocked, " + strings.ReplaceAll(string(job.Reason), "_", " "),
	}[job.State]
	e.printf("%s (%s %s, %d columns): %s%s\n", d.Name, d.Driver, d.Port, columns, words, orNothing(": ", job.Error))
	if hint != "" {
		e.printf("→ %s\n", hint)
	}
	if !job.State.Final() {
		e.printf("The page stays queued and is printed as soon as the printer can.\n")
	}
	if lacking != "" {
		e.printf("Without the line of letters: %s\n→ set codepages in its [device.options] to the ones in its self test\n", lacking)
	}
}

type scanTestCmd struct {
	Name  string        `arg:"" optional:"" help:"Of the scanner in the configuration; may be left out where there is one."`
	Wait  time.Duration `help:"How long to wait for a scan." default:"30s"`
	Count int           `help:"End after so many scans; 0 goes on until nothing comes for the time of --wait." default:"1"`
	JSON  bool          `help:"One line of JSON a scan."`
}

// errEnough ends the listening.
var errEnough = errors.New("enough scans")

// Run shows what a scanner reads. While it runs the scanner is claimed, so that the register sells nothing of it.
// Exit 0 if at least one code came.
func (c scanTestCmd) Run(e *env) error {
	a, d, err := e.device(c.Name, devices.Scanner)
	if err != nil {
		return err
	}
	if _, err := a.ClaimScanner(e.ctx, d.Name); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), 3*time.Second) // also after Ctrl-C
		defer cancel()
		_ = a.ReleaseScanner(ctx, d.Name) // the claim ends by itself after two minutes
	}()
	if !c.JSON {
		e.printf("%s (%s): scan a code within %s. The register does not hear it meanwhile.\n", d.Name, d.Port, c.Wait)
	}
	start := time.Now()
	l := &scanListener{e: e, agent: a, name: d.Name, json: c.JSON, left: c.Count, last: start}
	err = l.listen(c.Wait)
	switch {
	case l.seen > 0 && (err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errEnough)):
		return nil
	case e.ctx.Err() != nil:
		return e.ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("nothing came within %s%s", c.Wait, e.whyNothing(a, d.Name, start))
	}
	return err
}

// scanListener shows the scans of one scanner.
type scanListener struct {
	e     *env
	agent *client.Client
	name  string
	json  bool
	left  int // scans until the end; 0 for no end
	seen  int
	last  time.Time
}

// listen shows scans until there were enough or none came for that long.
func (l *scanListener) listen(wait time.Duration) error {
	ctx, cancel := context.WithCancelCause(l.e.ctx)
	defer cancel(nil)
	silence := time.AfterFunc(wait, func() { cancel(context.DeadlineExceeded) })
	defer silence.Stop()
	err := l.agent.Events(ctx, []string{"scan", "device"}, -1, func(ev wire.Event) error {
		counted, err := l.show(ev)
		if !counted || err != nil {
			return err
		}
		silence.Reset(wait)
		if l.left--; l.left == 0 {
			return errEnough
		}
		_, err = l.agent.ClaimScanner(ctx, l.name) // renewed by the same call
		return err
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// show prints one event if it is a scan, or the refusal of one, of this scanner.
func (l *scanListener) show(ev wire.Event) (counted bool, err error) {
	if ev.Type == "device" {
		return false, l.showRefusal(ev.Data)
	}
	var s wire.Scan
	if err := json.Unmarshal(ev.Data, &s); err != nil || s.Scanner != l.name {
		return false, err
	}
	l.seen++
	if l.json {
		return true, l.e.printJSON(ev.Data)
	}
	after := s.At.Sub(l.last).Round(time.Millisecond)
	l.last = s.At
	l.e.printf("%-16s %q%s  %s, %d bytes, %s", s.Symbology, s.Data, orNothing("  GTIN ", s.GTIN), s.Kind, len(s.DataBase64), after)
	if l.seen == 1 {
		l.e.printf(" after the start\n")
	} else {
		l.e.printf(" after the one before\n")
	}
	if s.AIM == "" {
		l.e.printf("  it came without an AIM identifier, so its kind is guessed\n  → turn on \"transmit AIM code id\" in the scanner's manual\n")
	}
	return true, nil
}

// showRefusal tells of a code that was read and refused, which is no scan event.
func (l *scanListener) showRefusal(data []byte) error {
	var i devices.Info
	if err := json.Unmarshal(data, &i); err != nil || i.Name != l.name {
		return err
	}
	if p := i.LastError; p != nil && !p.At.Before(l.last) && !l.json {
		l.e.printf("%s: %s\n", p.Code, p.Message)
		if p.Hint != "" {
			l.e.printf("→ %s\n", p.Hint)
		}
		l.last = time.Now()
	}
	return nil
}

// whyNothing is what to do about a scanner that was silent since then. An older trouble does not count while it works.
func (e *env) whyNothing(a *client.Client, name string, since time.Time) string {
	list, err := a.Devices(e.ctx)
	if err != nil {
		return ""
	}
	for _, d := range list {
		broken := d.State == devices.Offline || d.State == devices.Error
		if p := d.LastError; d.Name == name && p != nil && (broken || p.At.After(since)) {
			return ": " + d.LastError.Message + "\n→ " + d.LastError.Hint
		}
	}
	return "\n→ does it beep? If not: check its cable and power, and aim at a whole code" +
		"\n→ does it beep, and the code appears in an open text window? It is in keyboard mode: scan the code for USB serial" +
		"\n  (COM port emulation, CDC-ACM) in its manual, and see storeagent devices for its new port" +
		"\n→ does it beep, and nothing appears anywhere? Compare baud, suffix and gap_ms in the configuration with its settings"
}

type terminalTestCmd struct {
	Name string `arg:"" optional:"" help:"Of the card terminal in the configuration; may be left out where there is one."`
	JSON bool   `help:"The terminal as one line of JSON."`
}

// Run asks a card terminal how it is. No money moves. Exit 0 only if it can take a payment now.
func (c terminalTestCmd) Run(e *env) error {
	a, d, err := e.device(c.Name, devices.PaymentTerminal)
	if err != nil {
		return err
	}
	t, err := a.TerminalStatus(e.ctx, d.Name)
	if err != nil {
		return e.terminalSilent(a, d.Name, err)
	}
	if c.JSON {
		err = e.printJSON(t)
	} else {
		showTerminal(e, t, d)
	}
	if err == nil && (t.State != devices.Ready || t.Blocking != "") {
		err = &exitError{code: exitFailed}
	}
	return err
}

// terminalSilent words a terminal that did not answer: the device's own trouble is more use than that a call failed.
func (e *env) terminalSilent(a *client.Client, name string, err error) error {
	list, lerr := a.Devices(e.ctx)
	if lerr != nil {
		return err
	}
	for _, d := range list {
		if d.Name == name && d.LastError != nil {
			return fmt.Errorf("%s is %s: %s\n→ %s", name, d.State, d.LastError.Message, d.LastError.Hint)
		}
	}
	return err
}

func showTerminal(e *env, t payments.TerminalInfo, d devices.Info) {
	e.printf("%s (%s %s): %s%s\n", t.Name, t.Driver, d.Port, t.State, orNothing(", it says: ", t.Status.Text))
	e.printf("  model %s, terminal id %s\n", orUnknown(t.Model), orUnknown(t.TerminalID))
	if t.RoundTripMS != nil {
		e.printf("  round trip %d ms\n", *t.RoundTripMS)
	}
	var can []string
	for _, x := range []struct {
		yes  bool
		word string
	}{
		{t.Capabilities.Sale, "sale"}, {t.Capabilities.Refund, "refund"}, {t.Capabilities.Preauth, "pre-authorization"}, {t.Capabilities.Void, "void"},
		{t.Capabilities.Tip, "tip"}, {t.Capabilities.Cancel, "cancel"}, {t.Capabilities.EndOfDay, "end of day"}, {t.Capabilities.DisplayText, "display"},
	} {
		if x.yes {
			can = append(can, x.word)
		}
	}
	e.printf("  can: %s\n", strings.Join(can, ", "))
	if t.Blocking != "" {
		e.printf("It takes no new money: payment %s is in doubt.\n→ look at the terminal's slips and say how it ended: POST /v1/payments/%s/resolve\n", t.Blocking, t.Blocking)
	} else if t.State != devices.Ready {
		e.printf("→ see the terminal's own display, then storeagent check\n")
	} else {
		e.printf("It can take a payment now. No money was moved by this test.\n")
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
