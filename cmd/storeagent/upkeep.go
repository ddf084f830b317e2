package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"storeagent/offline"
	"storeagent/register/wire"
)

type queueExportCmd struct {
	Out            string `help:"File to write; default: standard output." type:"path" placeholder:"FILE"`
	Move           bool   `help:"Pack the queue up for another machine, encrypted. It is never sent from here again."`
	PassphraseFile string `help:"With --move: file whose first line is the passphrase, 12 characters or more." type:"existingfile" placeholder:"FILE"`
	Note           string `help:"With --move: why, for the audit." default:"moved to another machine"`
	ID             string `help:"With --move: write the file of an earlier move once more." placeholder:"ID"`
}

// Run writes a copy of the queue, or moves it.
func (c queueExportCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	if !c.Move {
		return e.writeOut(c.Out, func(w io.Writer) error { return a.ExportQueue(e.ctx, w) })
	}
	if c.Out == "" {
		return &exitError{exitUsage, errors.New("--move wants --out FILE, the file to carry to the other machine")}
	}
	id := c.ID
	if id == "" {
		passphrase, err := readPassphrase(c.PassphraseFile)
		if err != nil {
			return err
		}
		m, err := a.MoveQueue(e.ctx, wire.MoveRequest{Passphrase: passphrase, Note: c.Note})
		if err != nil {
			return err
		}
		id = m.ID
		e.printf("Move %s: %d operations are packed up and no longer sent from here.\n", id, m.Operations)
	}
	if err := e.writeOut(c.Out, func(w io.Writer) error { return a.CopyMove(e.ctx, id, w) }); err != nil {
		return fmt.Errorf("%w\nthe agent keeps the file; write it again with: storeagent queue export --move --id %s --out FILE", err, id)
	}
	e.printf("Wrote %s. On the other machine, and on one only: storeagent queue import --passphrase-file FILE %s\n", c.Out, filepath.Base(c.Out))
	return nil
}

// readPassphrase takes the first line of a file.
func readPassphrase(path string) (string, error) {
	if path == "" {
		return "", &exitError{exitUsage, errors.New("--passphrase-file is needed: a file whose first line is the passphrase")}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the passphrase: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	if len(line) < 12 {
		return "", &exitError{exitUsage, fmt.Errorf("the first line of %s has fewer than 12 characters", path)}
	}
	return line, nil
}

// writeOut writes to a file that is there whole or not at all, or to standard output.
func (e *env) writeOut(path string, write func(io.Writer) error) error {
	if path == "" {
		return write(e.stdout)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".storeagent-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	err = errors.Join(write(f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

type queueImportCmd struct {
	File           string `arg:"" help:"File that storeagent queue export --move wrote." type:"existingfile"`
	PassphraseFile string `help:"The passphrase file of the export." type:"existingfile" placeholder:"FILE"`
	JSON           bool   `help:"As JSON."`
}

// Run takes a moved queue over. It reads the whole file before it hands in the first part, so that a wrong passphrase
// or a cut file changes nothing.
func (c queueImportCmd) Run(e *env) error {
	passphrase, err := readPassphrase(c.PassphraseFile)
	if err != nil {
		return err
	}
	parts, total, err := readMove(c.File, passphrase)
	if err != nil {
		return fmt.Errorf("read %s: %w", c.File, err)
	}
	a, err := e.agent()
	if err != nil {
		return err
	}
	var sum offline.MovedIn
	for _, p := range parts {
		in, err := a.ImportQueue(e.ctx, wire.ImportRequest(p))
		if err != nil {
			return fmt.Errorf("%w\n%d of %d operations were taken over; run the same command again, nothing is taken twice", err, sum.Taken+sum.Present, total)
		}
		sum.Taken, sum.Present, sum.Sales = sum.Taken+in.Taken, sum.Present+in.Present, sum.Sales+in.Sales
		sum.MovedAway, sum.Refused = sum.MovedAway+in.MovedAway, append(sum.Refused, in.Refused...)
	}
	if c.JSON {
		if err := e.printJSON(sum); err != nil {
			return err
		}
	} else {
		e.printf("%d of %d operations taken over, %d were here already.\n", sum.Taken, total, sum.Present)
	}
	if len(sum.Refused) > 0 {
		return fmt.Errorf("sold here too, and not taken over: %s; decide about each on the machine they came from", strings.Join(sum.Refused, ", "))
	}
	if sum.MovedAway > 0 {
		return fmt.Errorf("%d of them were handed over from this machine before and are never sent from it again: "+
			"import the file on another machine, or nobody sends them", sum.MovedAway)
	}
	return nil
}

// readMove splits a file into its parts and opens each of them.
func readMove(path, passphrase string) (parts []offline.MovePart, total int, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	lines := bytes.Split(bytes.TrimRight(data, "\r\n"), []byte("\n"))
	if len(lines) < 2 {
		return nil, 0, offline.ErrMoveFile
	}
	count := 0
	for i, line := range lines[1:] {
		p := offline.MovePart{
			Head: string(bytes.TrimRight(lines[0], "\r")), Part: string(bytes.TrimRight(line, "\r")), Index: i, Last: i == len(lines)-2,
			Passphrase: passphrase,
		}
		_, n, list, err := offline.OpenMove(p)
		if err != nil {
			return nil, 0, err
		}
		total, count, parts = n, count+len(list), append(parts, p)
	}
	if count != total {
		return nil, 0, fmt.Errorf("the file has %d operations and says that it has %d", count, total)
	}
	return parts, total, nil
}

type queueFindingsCmd struct {
	Ack  bool   `help:"Take note of all of them."`
	Note string `help:"With --ack: what was done about them, for the audit."`
	JSON bool   `help:"As JSON."`
}

// isFinding tells the problems of GET /v1/status that stay until a person has taken note of them.
func isFinding(code string) bool {
	switch code {
	case "database_damaged", "queue_replaced", "commits_lost", "sales_missing", "payments_missing", "highwater_missing",
		"highwater_damaged", "machine_changed":
		return true
	}
	return false
}

// Run shows what starts found wrong, or takes note of it.
func (c queueFindingsCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	if c.Ack {
		if c.Note == "" {
			return &exitError{exitUsage, errors.New("--ack wants --note: what was done about them")}
		}
		if err := a.NoteFindings(e.ctx, c.Note); err != nil {
			return err
		}
		e.printf("Noted.\n")
		return nil
	}
	st, err := a.Status(e.ctx)
	if err != nil {
		return err
	}
	list := []wire.StatusProblem{}
	for _, p := range st.Problems {
		if isFinding(p.Code) {
			list = append(list, p)
		}
	}
	if c.JSON {
		return e.printJSON(list)
	}
	if len(list) == 0 {
		e.printf("Nothing: the files are as they were left.\n")
	}
	for _, p := range list {
		e.printf("%s: %s\n  %s\n", p.Code, p.Message, p.Hint)
	}
	return nil
}

type schemaCmd struct {
	Check schemaCheckCmd `cmd:"" help:"Ask the cloud for its schema and name each difference. Exit 1 where there are some."`
}

type schemaCheckCmd struct {
	JSON bool `help:"As JSON."`
}

// Run checks the cloud's schema.
func (c schemaCheckCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	r, err := a.CheckSchema(e.ctx)
	if err != nil {
		return err
	}
	switch {
	case c.JSON:
		err = e.printJSON(r)
	default:
		if r.OK {
			e.printf("The cloud offers all that this agent needs.\n")
		}
		for _, p := range slices.Concat(r.Problems, r.Notes) {
			e.printf("%s\n", p)
		}
	}
	if err == nil && !r.OK {
		return &exitError{code: exitFailed}
	}
	return err
}
