package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"storeagent/installer/config"
	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/register/client"
	"storeagent/register/wire"
)

// connect makes a client for the running agent, found by the configuration and the technician's token.
func connect(cfg *config.Config) (*client.Client, error) {
	path := filepath.Join(cfg.Data.Dir, technicianToken)
	token, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s: start the agent once with storeagent serve", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the technician's token: %w; run this as the user that runs storeagent", err)
	}
	return client.New("http://"+cfg.Server.ListenAddresses()[0], strings.TrimSpace(string(token)), nil), nil
}

// agent connects to the running agent and makes sure that it answers.
func (e *env) agent() (*client.Client, error) {
	cfg, err := e.load()
	if err != nil {
		return nil, err
	}
	c, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(e.ctx, 5*time.Second)
	defer cancel()
	if _, err := c.Healthy(ctx); err != nil {
		return nil, fmt.Errorf("no agent answers on %s: start it with storeagent serve (%w)", cfg.Server.Listen, err)
	}
	return c, nil
}

// printJSON writes v as one line of JSON.
func (e *env) printJSON(v any) error { return json.NewEncoder(e.stdout).Encode(v) }

type signInCmd struct {
	JSON bool `help:"One line of JSON a change of state."`
}

// Run signs in and waits for its end.
func (c signInCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	st, err := a.SignIn(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := e.printJSON(st); err != nil {
			return err
		}
	} else if st.State == "pending" {
		showCode(e, st)
	}
	for st.State == "pending" {
		select {
		case <-e.ctx.Done():
			return errNotWaiting
		case <-time.After(time.Second):
		}
		if st, err = a.SignInStatus(e.ctx); e.ctx.Err() != nil {
			return errNotWaiting
		} else if err != nil {
			return err
		}
	}
	if c.JSON {
		if err := e.printJSON(st); err != nil {
			return err
		}
	}
	if st.State != "signed_in" {
		why := ""
		if st.Problem != nil {
			why = ": " + st.Problem.Message
		}
		return fmt.Errorf("sign-in ended %s%s", st.State, why)
	}
	if !c.JSON {
		e.printf("Signed in%s.\n", orNothing(" as ", st.Account))
	}
	return nil
}

// errNotWaiting is the end of a sign-in command that a person interrupted. The agent goes on waiting.
var errNotWaiting = errors.New("interrupted; the code stays good, and the agent signs in once it is approved")

func orNothing(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

// showCode shows what a person needs to approve the sign-in on another device.
func showCode(e *env, st offline.SignInStatus) {
	link := st.VerificationURIComplete
	if link == "" {
		link = st.VerificationURI
	}
	if st.UserCode == "" {
		e.printf("Open this link on this machine and sign in:\n\n  %s\n\n", link)
		return
	}
	if code, err := qrText(link); err == nil {
		e.printf("%s\n", code)
	}
	e.printf("Scan the code, or open  %s\nand type  %s\n\n", st.VerificationURI, st.UserCode)
	if st.ExpiresAt != nil {
		e.printf("Good until %s. Waiting …\n", st.ExpiresAt.Local().Format(time.TimeOnly))
	}
}

type signOutCmd struct {
	Force bool `help:"Although something is undelivered; take a copy of it before: storeagent queue export."`
}

// Run signs out.
func (c signOutCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	leave := a.SignOut
	if c.Force {
		leave = a.SignOutForced
	}
	if err := leave(e.ctx); err != nil {
		return err
	}
	e.printf("Signed out. Selling goes on; nothing is delivered until the next sign-in.\n")
	return nil
}

type pairCmd struct {
	Role   journal.Role `help:"register, technician or observer." required:"" enum:"register,technician,observer"`
	Name   string       `help:"Who this is, for the audit." required:""`
	Origin string       `help:"Browser origin that the token is bound to." placeholder:"ORIGIN"`
	JSON   bool         `help:"{id, token, role, name} as JSON."`
}

// Run makes a token.
func (c pairCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	p, err := a.Pair(e.ctx, wire.PairingRequest{Name: c.Name, Role: c.Role, Origin: c.Origin})
	if err != nil {
		return err
	}
	if c.JSON {
		return e.printJSON(struct {
			ID    string       `json:"id"`
			Token string       `json:"token"`
			Role  journal.Role `json:"role"`
			Name  string       `json:"name"`
		}{p.ID, p.Token, p.Role, p.Name})
	}
	e.printf("Token for %s (%s), shown once and kept nowhere:\n\n  %s\n\nRevoke it with: storeagent unpair %s\n", p.Name, p.Role, p.Token, p.ID)
	return nil
}

type pairingsCmd struct {
	JSON bool `help:"As JSON."`
}

// Run lists who was let in.
func (c pairingsCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	list, err := a.Pairings(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.printJSON(list)
	}
	rows := [][]string{{"ID", "NAME", "ROLE", "ORIGIN", "SINCE", "REVOKED"}}
	for _, p := range list {
		rows = append(rows, []string{p.ID, p.Name, string(p.Role), p.Origin, p.CreatedAt.Local().Format(time.DateTime), when(p.RevokedAt)})
	}
	return e.table(rows)
}

func when(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

// table writes rows in columns.
func (e *env) table(rows [][]string) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t")) // empty cells too: a row that ends early would end its columns for all below
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(e.stdout, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

type unpairCmd struct {
	ID string `arg:"" help:"Of the pairing, as storeagent pairings shows it."`
}

// Run revokes a token.
func (c unpairCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	if err := a.Unpair(e.ctx, c.ID); err != nil {
		return err
	}
	e.printf("Revoked.\n")
	return nil
}

type consoleCmd struct {
	JSON bool `help:"{url, expiresAt} as JSON."`
}

// Run prints a one-time link.
func (c consoleCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	link, err := a.ConsoleLink(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.printJSON(link)
	}
	e.printf("%s\n", link.URL)
	return nil
}

type queueCmd struct {
	List    queueListCmd    `cmd:"" help:"What the cloud has not got, and why."`
	Show    queueShowCmd    `cmd:"" help:"The queue in numbers."`
	Resend  queueResendCmd  `cmd:"" help:"Send a parked operation again: a person made sure that the cloud has not got it."`
	Settle  queueSettleCmd  `cmd:"" help:"Mark a parked operation as delivered: a person saw it in the cloud."`
	Discard queueDiscardCmd `cmd:"" help:"Give an operation up."`
	Pause   queuePauseCmd   `cmd:"" help:"Stop delivering until resume."`
	Resume  queueResumeCmd  `cmd:"" help:"Deliver again."`
	Drain   queueDrainCmd   `cmd:"" help:"Try now, and wait until nothing is queued."`

	Export   queueExportCmd   `cmd:"" help:"Copy everything undelivered, to read or, with --move, for another machine."`
	Import   queueImportCmd   `cmd:"" help:"Take over what another machine exported with --move."`
	Findings queueFindingsCmd `cmd:"" help:"What a start found wrong with the queue's files; --ack takes note of it."`
}

type queueListCmd struct {
	State string `help:"queued, sending, in_doubt, parked, delivered or discarded; default: all that is not delivered." placeholder:"STATE"`
	Limit int    `help:"At most so many." default:"100"`
	JSON  bool   `help:"As JSON."`
}

// Run lists operations.
func (c queueListCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	states := []string{c.State}
	if c.State == "" {
		states = []string{"parked", "in_doubt", "sending", "queued"}
	}
	items := []offline.Item{}
	for _, st := range states {
		page, err := a.QueueItems(e.ctx, url.Values{"state": {st}, "limit": {strconv.Itoa(c.Limit)}})
		if err != nil {
			return err
		}
		items = append(items, page.Items...)
	}
	if c.JSON {
		return e.printJSON(items)
	}
	if len(items) == 0 {
		e.printf("Nothing: the cloud has everything.\n")
		return nil
	}
	rows := [][]string{{"ID", "STATE", "WHY", "AMOUNT", "SEARCH FOR", "ATTEMPTS", "LAST", "ERROR"}}
	for _, i := range items {
		fault := ""
		if i.Error != nil {
			fault = i.Error.Code + " " + i.Error.Message
		}
		rows = append(rows, []string{i.ID, string(i.State), string(i.Reason), i.Amount + " " + i.Currency, i.SearchFor, strconv.Itoa(i.Attempts), when(i.LastAttemptAt), fault})
	}
	return e.table(rows)
}

type queueShowCmd struct {
	JSON bool `help:"As JSON."`
}

// Run shows the queue in numbers.
func (c queueShowCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	q, err := a.Queue(e.ctx)
	if err != nil {
		return err
	}
	return e.showQueue(q, c.JSON)
}

func (e *env) showQueue(q offline.QueueStatus, asJSON bool) error {
	if asJSON {
		return e.printJSON(q)
	}
	e.printf("%s: %d queued, %d sending, %d in doubt, %d parked, %d delivered; %s undelivered\n", q.Connection, q.Queued, q.Sending, q.InDoubt, q.Parked, q.Delivered, q.Exposure.Amount)
	if q.LastError != nil {
		e.printf("last error: %s %s\n", q.LastError.Code, q.LastError.Message)
	}
	return nil
}

// decide carries out a person's decision.
func (e *env) decide(d offline.Decision, asJSON bool) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	done, err := a.Decide(e.ctx, d)
	if err != nil {
		return err
	}
	if asJSON {
		return e.printJSON(done)
	}
	e.printf("%s is now %s.\n", done.ID, done.State)
	return nil
}

type queueResendCmd struct {
	ID   string `arg:"" help:"Of the operation."`
	Note string `help:"Why, for the audit." required:""`
	JSON bool   `help:"As JSON."`
}

// Run sends an operation again.
func (c queueResendCmd) Run(e *env) error {
	return e.decide(offline.Decision{OpID: c.ID, Action: offline.Resend, Note: c.Note}, c.JSON)
}

type queueSettleCmd struct {
	ID      string `arg:"" help:"Of the operation."`
	CloudID string `help:"The cloud's id, where you saw one." placeholder:"ID"`
	Note    string `help:"What you saw, for the audit." required:""`
	JSON    bool   `help:"As JSON."`
}

// Run settles an operation.
func (c queueSettleCmd) Run(e *env) error {
	return e.decide(offline.Decision{OpID: c.ID, Action: offline.Settle, CloudID: c.CloudID, Note: c.Note}, c.JSON)
}

type queueDiscardCmd struct {
	ID   string `arg:"" help:"Of the operation."`
	Note string `help:"Why, for the audit." required:""`
	JSON bool   `help:"As JSON."`
}

// Run gives an operation up.
func (c queueDiscardCmd) Run(e *env) error {
	return e.decide(offline.Decision{OpID: c.ID, Action: offline.Discard, Note: c.Note}, c.JSON)
}

type queuePauseCmd struct {
	JSON bool `help:"As JSON."`
}

// Run pauses delivering.
func (c queuePauseCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	q, err := a.PauseQueue(e.ctx)
	if err != nil {
		return err
	}
	return e.showQueue(q, c.JSON)
}

type queueResumeCmd struct {
	JSON bool `help:"As JSON."`
}

// Run resumes delivering.
func (c queueResumeCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	q, err := a.ResumeQueue(e.ctx)
	if err != nil {
		return err
	}
	return e.showQueue(q, c.JSON)
}

type queueDrainCmd struct {
	Wait time.Duration `help:"How long to wait." default:"30s"`
	JSON bool          `help:"As JSON."`
}

// Run tries to deliver now; exit 1 where something is still queued.
func (c queueDrainCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	q, err := a.DrainQueue(e.ctx, c.Wait)
	if err != nil {
		return err
	}
	if err := e.showQueue(q, c.JSON); err != nil {
		return err
	}
	if q.Queued+q.Sending > 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}
