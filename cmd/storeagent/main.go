// Command storeagent stands between register software, the hardware on the counter and the POS cloud. This package is
// the only wiring: the command line, the driver table, the supervision, the simulated store. No rule of the business
// lives here.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	_ "time/tzdata" // a register PC may have no time zone files

	"storeagent/installer/config"
)

// version is set by the release build (-ldflags "-X main.version=…").
var version = "dev"

// Exit codes of the contract. check has its own, see checkCmd.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	stop()
	os.Exit(code)
}

// cli is the command line.
type cli struct {
	Config string `help:"Configuration file. Default: what STOREAGENT_CONFIG names, else /etc/storeagent/storeagent.toml." type:"path" placeholder:"FILE"`

	Serve        serveCmd        `cmd:"" help:"Run the agent."`
	Demo         demoCmd         `cmd:"" help:"Run a whole simulated store in a temporary folder: a narrated day with an outage in it."`
	SignIn       signInCmd       `cmd:"" name:"sign-in" help:"Sign in to the cloud: shows a code, a link and a QR code."`
	SignOut      signOutCmd      `cmd:"" name:"sign-out" help:"Revoke and forget the cloud sign-in."`
	Pair         pairCmd         `cmd:"" help:"Make a token for a caller. It is shown once."`
	Pairings     pairingsCmd     `cmd:"" help:"List who was let in."`
	Unpair       unpairCmd       `cmd:"" help:"Revoke a token by its pairing's id."`
	Console      consoleCmd      `cmd:"" help:"Print a link to the console page. It opens once, within five minutes, and needs no token."`
	Check        checkCmd        `cmd:"" help:"Find the cable, setting or sign-in that is wrong. Exit 0 all well, 1 warnings, 2 failures."`
	Bundle       bundleCmd       `cmd:"" help:"Pack up what support needs to see, without secrets: logs, status, check, events."`
	Install      installCmd      `cmd:"" help:"Make the agent a service of this machine: user, folders, configuration, device rules. Changes only what is missing."`
	Uninstall    uninstallCmd    `cmd:"" help:"Take the service away again. Refused while something is undelivered."`
	Devices      devicesCmd      `cmd:"" help:"Show what is plugged in, what it seems to be, and the configuration lines it wants."`
	PrintTest    printTestCmd    `cmd:"" name:"print-test" help:"Print a test page and say whether the printer confirmed it."`
	Receipt      receiptCmd      `cmd:"" help:"Show a made-up receipt as the store is set up to print it, or the template to begin one's own with."`
	ScanTest     scanTestCmd     `cmd:"" name:"scan-test" help:"Show what a scanner reads."`
	TerminalTest terminalTestCmd `cmd:"" name:"terminal-test" help:"Ask a card terminal how it is; no money moves."`
	Queue        queueCmd        `cmd:"" help:"Look at and decide about what the cloud has not got."`
	Catalog      catalogCmd      `cmd:"" help:"Look at the local copy of items, prices and customers, or fetch it now."`
	Simulate     simulateCmd     `cmd:"" help:"Run one simulated device or the simulated cloud."`
	Cfg          configCmd       `cmd:"" name:"config" help:"Work with the configuration file."`
	Schema       schemaCmd       `cmd:"" help:"Compare what the cloud offers with what the agent needs."`
	Version      versionCmd      `cmd:"" help:"Print the version."`
}

// env is what a command may use of the world.
type env struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	configPath     string
}

// printf writes to standard output.
func (e *env) printf(format string, args ...any) { fmt.Fprintf(e.stdout, format, args...) }

// load reads the configuration.
func (e *env) load() (*config.Config, error) {
	cfg, err := config.Load(e.configPath, driverTable())
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return cfg, nil
}

// exitError ends the program with a code of its own.
type exitError struct {
	code int
	err  error // printed unless nil
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exited carries kong's own exits (--help) out of the parser.
type exited int

// run is the program, free of globals so that tests can call it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) (code int) {
	var c cli
	parser, err := kong.New(&c, kong.Name("storeagent"), kong.Writers(stdout, stderr), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Description("Sells, prints and takes cards on a register PC, with or without the internet."),
		kong.Exit(func(code int) { panic(exited(code)) }))
	if err != nil {
		fmt.Fprintln(stderr, "storeagent:", err)
		return exitFailed
	}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exited)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "storeagent: %v\nstoreagent --help shows how.\n", err)
		var wrong *kong.ParseError
		if errors.As(err, &wrong) && strings.HasPrefix(wrong.Context.Command(), "check") {
			return exitCheckUsage
		}
		return exitUsage
	}
	e := &env{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv, configPath: c.Config}
	if e.configPath == "" {
		e.configPath = config.DefaultPath(getenv)
	}
	return report(stderr, k.Run(e))
}

// report prints an error and turns it into an exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	code := exitFailed
	var x *exitError
	if errors.As(err, &x) {
		code = x.code
		if x.err == nil {
			return code
		}
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(stderr, "storeagent:", strings.TrimRight(line, "\n"))
	}
	return code
}

type versionCmd struct {
	JSON bool `help:"{version} as JSON."`
}

// Run prints the version.
func (c versionCmd) Run(e *env) error {
	if c.JSON {
		return e.printJSON(struct {
			Version string `json:"version"`
		}{version})
	}
	e.printf("storeagent %s\n", version)
	return nil
}

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Check the configuration file: file, line and hint for all that is wrong."`
}

type configCheckCmd struct{}

// Run checks the configuration.
func (configCheckCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	unseen, err := e.tryParts(cfg)
	if err != nil {
		return err
	}
	for _, what := range unseen {
		e.printf("Not looked at: %s\n", what)
	}
	for _, p := range notDone(cfg) {
		e.printf("Not done: %s %s\n", p.Message, p.Hint)
	}
	e.printf("%s is right: store %s, register %s, %d devices.\n", cfg.Path, cfg.Store.Code, cfg.Store.Register, len(cfg.Devices))
	return nil
}
