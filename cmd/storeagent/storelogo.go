package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"

	"storeagent/devices"
	"storeagent/devices/printer"
	"storeagent/devices/printer/escpos"
	"storeagent/register/client"
	"storeagent/register/receipt"
	"storeagent/register/wire"
)

const (
	perByte = 2 * time.Millisecond // how much longer than other jobs a logo may take: 9600 baud is about one byte a millisecond
	maxWait = 2 * time.Minute      // the longest that the agent waits for a job in one call
)

// logoStorer puts an image into the memory of one printer, in three jobs that each end before the next begins, so that
// nothing is ever written by a job that waits for paper.
type logoStorer struct {
	e     *env
	agent *client.Client
	d     devices.Info
	key   string
	wait  time.Duration
}

// storeLogo writes c.StoreLogo into the printer's memory once, and prints what is there under the key before and after.
func (c printTestCmd) storeLogo(e *env, a *client.Client, d devices.Info, columns int) error {
	switch {
	case c.Key == "" || c.StoreLogo == "":
		return &exitError{exitUsage, fmt.Errorf("give both: --store-logo FILE.png and --key, two characters such as LG")}
	case d.Driver != escpos.Driver:
		return &exitError{exitUsage, fmt.Errorf("%s has the driver %s; only printers with the driver %s store an image this way", d.Name, d.Driver, escpos.Driver)}
	}
	info, err := os.Stat(c.StoreLogo)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if info.Size() > receipt.MaxLogo {
		return &exitError{exitUsage, fmt.Errorf("%s has %d bytes, at most %d are taken", c.StoreLogo, info.Size(), receipt.MaxLogo)}
	}
	png, err := os.ReadFile(c.StoreLogo)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	write, err := escpos.StoreImage(png, c.Key, columns)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("%s: %w", c.StoreLogo, err)}
	}
	s := &logoStorer{e: e, agent: a, d: d, key: c.Key, wait: c.Wait}
	job, err := s.store(write, columns)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.printJSON(job)
	}
	e.printf("%s: %d bytes were written into its memory under the key %s, and it was told to print them.\n", d.Name, len(write), c.Key)
	e.printf("→ look at the paper: below \"Now\" stands the logo; with nothing there this printer keeps no images, or its memory is full\n")
	e.printf("That memory wears out, so do this once for a logo. From now on {\"op\": \"image\", \"stored\": %q} prints it.\n", c.Key)
	return nil
}

// store runs the jobs and returns the last.
func (s *logoStorer) store(write []byte, columns int) (printer.Job, error) {
	logo := wire.Op{Op: "image", Stored: s.key, Align: "center"}
	// The first is also what finds out, before anything is written, that the printer works and its profile has such a memory.
	if _, err := s.print(wire.Content{Document: []wire.Op{{Op: "text", Text: "Before, stored as " + s.key + ":"}, logo}}); err != nil {
		return printer.Job{}, fmt.Errorf("nothing was written: %w", err)
	}
	if _, err := s.print(wire.Content{Raw: write}); err != nil {
		return printer.Job{}, fmt.Errorf("store the logo: %w", err)
	}
	return s.print(wire.Content{Document: []wire.Op{{Op: "text", Text: "Now, stored as " + s.key + ":"}, logo, {Op: "feed", Lines: 3}, {Op: "cut"}}})
}

// print waits for the end of one job; anything but paper is an error.
func (s *logoStorer) print(c wire.Content) (printer.Job, error) {
	accepted, err := s.agent.Print(s.e.ctx, "store-logo-"+uuid.NewString(), s.d.Name, wire.PrintRequest{Content: c})
	var refused *client.Problem
	if errors.As(err, &refused) && len(refused.Errors) > 0 {
		return printer.Job{}, &exitError{exitFailed, errors.New(refused.Errors[0].Message)}
	}
	if err != nil {
		return printer.Job{}, err
	}
	job, err := s.agent.PrintJob(s.e.ctx, accepted.ID, min(s.wait+time.Duration(len(c.Raw))*perByte, maxWait))
	if err != nil {
		return printer.Job{}, err
	}
	if job.State != printer.Printed && job.State != printer.Sent {
		return printer.Job{}, &exitError{exitFailed, fmt.Errorf("the print job is %s%s%s\n→ %s", job.State, orNothing(", ", string(job.Reason)),
			orNothing(": ", job.Error), s.e.printHint(s.agent, s.d.Name, job))}
	}
	return job, nil
}
