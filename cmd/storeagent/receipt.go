package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"storeagent/devices/printer"
	"storeagent/devices/printer/preview"
	"storeagent/installer/config"
	"storeagent/register/receipt"
	"storeagent/register/wire"
)

// receiptCmd shows the store's receipts without an agent and without a printer.
type receiptCmd struct {
	Kind     string `help:"sale, refund, duplicate or bare: which made-up sale to show." enum:"sale,refund,duplicate,bare" default:"sale"`
	Columns  int    `help:"Characters of a line." default:"42"`
	PNG      string `help:"Write a picture of the paper to this file instead." name:"png" type:"path" placeholder:"FILE"`
	Template bool   `help:"Print the built-in template instead, to begin one's own with."`
}

// Run shows a made-up receipt as the configuration says, or the template that is built in.
func (c receiptCmd) Run(e *env) error {
	if c.Template {
		e.printf("%s", receipt.BuiltinTemplate())
		return nil
	}
	if c.Columns < 20 || c.Columns > 96 {
		return &exitError{exitUsage, errors.New("--columns must be from 20 to 96")}
	}
	cfg, err := e.load()
	if err != nil {
		return err
	}
	doc, err := sampleReceipt(cfg, receipt.Kind(c.Kind), c.Columns)
	if err != nil {
		return err
	}
	if c.PNG == "" {
		e.printf("%s", printer.PreviewText(doc, c.Columns))
		return nil
	}
	r, err := preview.New(newTypesetter(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("draw receipt: %w", err)
	}
	picture, err := r.PNG(doc, c.Columns)
	if err != nil {
		return fmt.Errorf("draw receipt: %w", err)
	}
	if err := os.WriteFile(c.PNG, picture.Data, 0o644); err != nil { //nolint:gosec // a made-up receipt, to be looked at
		return fmt.Errorf("write %s: %w", c.PNG, err)
	}
	e.printf("%s: %d columns\n", c.PNG, c.Columns)
	return nil
}

// sampleReceipt is a made-up sale as the store's receipts look.
func sampleReceipt(cfg *config.Config, kind receipt.Kind, columns int) (printer.Document, error) {
	laid, err := cfg.Receipt.Form.Layout(receipt.Sample(kind, cfg.Store.Currency, columns))
	if err != nil {
		return nil, err
	}
	if laid.Problem != nil { // on a width that the check of the configuration did not try
		return nil, fmt.Errorf("%s: %w", cfg.Receipt.Template, laid.Problem)
	}
	return laid.Document, nil
}

// wireOps is a document as the API takes it.
func wireOps(doc printer.Document) []wire.Op {
	ops := make([]wire.Op, len(doc))
	for i, op := range doc {
		ops[i] = wire.Op(op)
	}
	return ops
}
