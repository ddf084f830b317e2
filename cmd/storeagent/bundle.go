package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"storeagent/installer"
	"storeagent/installer/config"
)

type bundleCmd struct {
	Out  string `help:"Archive to write; default: storeagent-STORE-REGISTER-TIME.zip in this folder." type:"path" placeholder:"FILE"`
	JSON bool   `help:"As one line of JSON: {file, bytes, files, agentRunning, missing: [text]}."`
}

// Run writes the archive. It works with and without a running agent, and with a broken configuration.
func (c bundleCmd) Run(e *env) error {
	if !c.JSON {
		e.printf("Gathering; without a running agent each device is tried, which takes a moment …\n")
	}
	b := installer.MakeBundle(e.ctx, installer.BundleOptions{
		Check: e.checkOptions(), Version: version, Getenv: e.getenv,
		Agent: func(ctx context.Context, cfg *config.Config) (installer.BundleAgent, error) {
			return findAgent(ctx, cfg)
		},
		Token: func(cfg *config.Config) string {
			token, err := os.ReadFile(filepath.Join(cfg.Data.Dir, technicianToken))
			if err != nil {
				return "" // who cannot read it has not got it
			}
			return strings.TrimSpace(string(token))
		},
	})
	if err := e.ctx.Err(); err != nil {
		return err
	}
	if c.Out == "" {
		words := []string{"storeagent", b.Store, b.At.UTC().Format("20060102-150405") + ".zip"}
		c.Out = regexp.MustCompile(`[^A-Za-z0-9._-]+`).ReplaceAllString(strings.Join(words, "-"), "-")
	}
	if err := e.writeOut(c.Out, func(w io.Writer) error { return b.Write(w) }); err != nil {
		return err
	}
	path, err := filepath.Abs(c.Out)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.printJSON(struct {
			File    string   `json:"file"`
			Bytes   int64    `json:"bytes"`
			Files   int      `json:"files"`
			Agent   bool     `json:"agentRunning"`
			Missing []string `json:"missing"`
		}{path, info.Size(), b.Files(), b.Agent, append([]string{}, b.Missing...)})
	}
	if len(b.Missing) > 0 {
		e.printf("\nCould not be had:\n")
		for _, m := range b.Missing {
			e.printf("  %s\n", m)
		}
		if slices.ContainsFunc(b.Missing, func(m string) bool { return strings.Contains(m, fs.ErrPermission.Error()) }) {
			e.printf("With sudo these can be had too.\n")
		}
	}
	e.printf("\nWrote %s (%s, %d files).\nCard data, gift card codes, PINs, passwords and tokens are taken out, sales and customers were never in it:\nit can be sent to support. README.txt in it says what each file is.\n", path, size(info.Size()), b.Files())
	return nil
}

// size words a number of bytes.
func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
