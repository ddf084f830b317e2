package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"storeagent/devices"
	"storeagent/devices/printer"
	"storeagent/devices/printer/typeset"
	"storeagent/devices/scanner"
	"storeagent/installer/config"
	"storeagent/internal/journal"
	"storeagent/internal/trust"
	"storeagent/offline"
	"storeagent/offline/catalogue"
	"storeagent/offline/cloud"
	"storeagent/offline/signin"
	"storeagent/offline/sqlite"
	"storeagent/payments"
	"storeagent/register"
	"storeagent/register/wire"
)

// technicianToken is the token file in the data folder by which commands on this machine find the agent.
const technicianToken = "technician.token"

// agent is the running service: every floor, joined.
type agent struct {
	cfg   *config.Config
	log   *slog.Logger
	store *sqlite.Store

	devices   *devices.Set
	counter   *counter
	drawers   drawers
	payments  *payments.Desk
	spooler   *printer.Spooler
	signIn    *signin.SignIn
	cloud     *cloud.Client
	forwarder *offline.Forwarder
	desk      *offline.Desk
	giftcards *offline.GiftcardDesk
	catalogue *catalogue.Catalogue
	server    *register.Server
	relay     *relay
	fonts     *typeset.Typesetter
}

// newAgent opens the database and joins the floors. Nothing moves before run.
func newAgent(ctx context.Context, cfg *config.Config, log *slog.Logger, getenv func(string) string) (*agent, error) {
	store, err := sqlite.Open(ctx, sqlite.Options{Dir: cfg.Data.Dir, Log: log})
	if err != nil {
		return nil, err
	}
	a := &agent{cfg: cfg, log: log, store: store, fonts: newTypesetter(log)}
	if err := a.joinCloud(ctx, getenv); err != nil { // before the devices: one may be a terminal that the cloud talks to
		return nil, errors.Join(err, a.close())
	}
	if err := a.joinDevices(getenv); err != nil {
		return nil, errors.Join(err, a.close())
	}
	if err := errors.Join(a.joinCatalogue(), a.joinServer()); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// relay hands device reports to the server, which is made after the devices.
type relay struct {
	to atomic.Pointer[register.Server]
}

// Scanned implements scanner.Sink.
func (r *relay) Scanned(ctx context.Context, s scanner.Scan) error {
	return r.to.Load().Scanned(ctx, s)
}

// Refused implements scanner.Sink.
func (r *relay) Refused(ctx context.Context, name string, length int, at time.Time) {
	r.to.Load().Refused(ctx, name, length, at)
}

func (r *relay) changed(i devices.Info) { r.to.Load().DeviceChanged(i) }

func (a *agent) joinDevices(getenv func(string) string) error {
	r := &relay{}
	devs, err := buildDevices(parts{
		opener: newOpener(), log: a.log, getenv: getenv, onChange: r.changed, sink: r,
		prefixes: a.cfg.Giftcard.Prefixes, currency: a.cfg.Store.Currency, cloud: a.cloud, fonts: a.fonts,
	}, a.cfg.Devices)
	if err != nil {
		return err
	}
	var printers []printer.Printer
	var terminals []payments.Terminal
	for _, d := range devs {
		switch d := d.(type) {
		case printer.Printer:
			printers = append(printers, d)
		case payments.Terminal:
			terminals = append(terminals, d)
		}
	}
	a.relay = r
	a.devices = devices.NewSet(devs...)
	a.counter = newCounter(devs)
	a.drawers = drawersOf(devs)
	a.payments = payments.NewDesk(payments.DeskConfig{
		Journal: a.store.Payments(), Terminals: terminals, Log: a.log, OrphanAfter: a.cfg.Payments.OrphanAfter.Duration,
	})
	a.spooler = printer.NewSpooler(printer.SpoolerConfig{Jobs: a.store.PrintJobs(), Printers: printers, Log: a.log})
	return nil
}

// signInConfig is how the configuration says to sign in.
func signInConfig(cfg *config.Config, getenv func(string) string, log *slog.Logger) (signin.Config, error) {
	secret, err := cfg.Cloud.ClientSecret.Resolve(getenv)
	if err != nil {
		return signin.Config{}, &exitError{exitUsage, fmt.Errorf("cloud.client_secret: %w", err)}
	}
	return signin.Config{
		Issuer: cfg.Cloud.Issuer, ClientID: cfg.Cloud.ClientID, ClientSecret: secret, Scopes: cfg.Cloud.Scopes,
		Audience: cfg.Cloud.Audience, Flow: signin.Flow(cfg.Cloud.Flow), CAFile: cfg.Cloud.CAFile, Dir: cfg.Data.Dir,
		Store: cfg.Store.Code, Register: cfg.Store.Register, Log: log,
	}, nil
}

// rootsOf says what is wrong with the store's own TLS roots.
func rootsOf(cfg *config.Config) error {
	if _, err := trust.Roots(cfg.Cloud.CAFile); err != nil {
		return &exitError{exitUsage, fmt.Errorf("cloud.ca_file: %w", err)}
	}
	return nil
}

func (a *agent) joinCloud(ctx context.Context, getenv func(string) string) error {
	c := a.cfg.Cloud
	if err := rootsOf(a.cfg); err != nil {
		return err
	}
	sc, err := signInConfig(a.cfg, getenv, a.log)
	if err != nil {
		return err
	}
	sc.OnChange = a.signInChanged
	keys, err := signin.NewKeyFile(a.cfg.Data.Dir) // one key seals the sign-in and the gift cards
	if err != nil {
		return err
	}
	sc.Keys = keys
	if a.signIn, err = signin.New(ctx, sc); err != nil {
		return err
	}
	if a.cloud, err = cloud.New(cloud.Config{
		Endpoint: c.Endpoint, CAFile: c.CAFile, Token: a.signIn, SchemaDir: filepath.Join(a.cfg.Data.Dir, "schema"),
		OverrideDir: filepath.Join(a.cfg.Data.Dir, "graphql"),
		MaxConns:    c.MaxInFlight, Log: a.log,
	}); err != nil {
		return err
	}
	var finder offline.PurchaseFinder
	if c.PurchaseLookup {
		finder = a.cloud
	}
	if a.forwarder, err = offline.NewForwarder(offline.ForwarderConfig{
		Store: a.store.Outbox(), Cloud: a.cloud, Settings: a.store.Settings(), Events: a.store.Events(), Log: a.log,
		Currency: a.cfg.Store.Currency, MaxInFlight: c.MaxInFlight, StartRate: c.StartRate, MaxRate: c.MaxRate,
		ResumeJitter: c.ResumeJitter.Duration, UnknownOutcome: c.UnknownOutcome, UnknownOutcomeBy: c.UnknownOutcomeBy,
		Audit: a.store.Audit(), Purchases: finder, Giftcards: a.cloud, Keys: keys, GiftcardHold: a.cfg.Giftcard.Hold.Duration,
	}); err != nil {
		return err
	}
	a.desk, err = offline.NewDesk(offline.DeskConfig{
		Store: a.store.Outbox(), Forwarder: a.forwarder, Log: a.log, StoreCode: a.cfg.Store.Code, Register: a.cfg.Store.Register,
		Currency: a.cfg.Store.Currency, Location: a.cfg.Store.Location, SendPurchases: c.SendPurchases, Moves: a.store.Outbox(),
	})
	if err != nil {
		return err
	}
	return a.joinGiftcards()
}

// signInChanged tells the forwarder and the listeners.
func (a *agent) signInChanged(st offline.SignInStatus) {
	switch st.State {
	case "signed_in":
		a.forwarder.SignedIn()
	case "signed_out", "expired", "denied":
		a.forwarder.SignedOut()
	}
	// The sign-in's own context may have ended; the event is still worth its few milliseconds.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := a.store.Events().Append(ctx, journal.NewEvent("signin", time.Now(), st)); err != nil {
		a.log.Warn("cannot write sign-in event", "err", err)
	}
}

func (a *agent) joinServer() error {
	s := a.cfg.Store
	srv, err := register.New(register.Config{
		AllowedOrigins: a.cfg.Server.AllowedOrigins, Version: version,
		StoreCode: s.Code, Register: s.Register, Currency: s.Currency,
		Receipts: a.cfg.Receipt.Form, GiftcardPrefixes: a.cfg.Giftcard.Prefixes, Patterns: a.cfg.Scan.Parsed,
		Keys: a.store.Keys(), Events: a.store.Events(), Pairings: a.store.Pairings(), Sales: a.desk, Queue: a.desk,
		Payments: a.payments, Giftcards: a.giftcards, Catalogue: a.catalogue, Printing: a.spooler, Devices: a.devices, Counter: a.counter, Drawers: a.drawers, Audit: a.store.Audit(),
		SignIn: a.signIn, Typesetter: a.fonts,
		Upkeep: a.desk, Findings: a.store, Schema: a.cloud,
		Status: a.status, Ready: a.store.Writable, Log: a.log,
	})
	if err != nil {
		return err
	}
	a.server = srv
	a.relay.to.Store(srv)
	return nil
}

// status is what only the wiring knows of GET /v1/status.
func (a *agent) status() register.Extra {
	disk := a.store.Disk()
	backup := a.store.Backups()
	x := register.Extra{FreeBytes: disk.FreeBytes, Backup: wire.Backup{Bytes: backup.Bytes, Problem: backup.Problem}}
	if !backup.At.IsZero() {
		x.Backup.At = &backup.At
	}
	if skew, at := a.cloud.Skew(); !at.IsZero() {
		ms := -skew.Milliseconds() // ours minus the cloud's
		x.ClockSkewMS = &ms
	}
	x.Problems = notDone(a.cfg)
	for _, f := range a.store.Findings() { // a full disk among them
		x.Problems = append(x.Problems, wire.StatusProblem{Code: f.Code, Severity: string(f.Severity), Message: f.Message, Hint: f.Hint})
	}
	for _, p := range slices.Concat(a.desk.Problems(), a.giftcards.Problems(), a.catalogue.Problems()) {
		x.Problems = append(x.Problems, wire.StatusProblem{Code: p.Code, Severity: p.Severity, Message: p.Message, Hint: p.Hint})
	}
	for _, p := range a.cloud.SchemaProblems() {
		x.Problems = append(x.Problems, wire.StatusProblem{
			Code: "schema", Severity: "error", Message: p, Hint: "the cloud offers something else than this agent sends; ask the vendor or update storeagent",
		})
	}
	return x
}

// run works until ctx ends or a part fails. listeners are the API's.
func (a *agent) run(ctx context.Context, listeners ...net.Listener) error {
	if err := a.server.EnsureTechnician(ctx, filepath.Join(a.cfg.Data.Dir, technicianToken)); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.server.Serve(ctx, listeners...) })
	g.Go(func() error { return a.devices.Run(ctx) })
	g.Go(func() error { a.watchHotplug(ctx); return nil })
	g.Go(func() error { return a.payments.Run(ctx) })
	g.Go(func() error { return a.spooler.Run(ctx) })
	g.Go(func() error { return a.signIn.Run(ctx) })
	g.Go(func() error { return a.forwarder.Run(ctx) })
	g.Go(func() error { return a.catalogue.Run(ctx) })
	g.Go(func() error { return a.giftcards.Run(ctx) })
	g.Go(func() error { return a.store.Run(ctx, time.Duration(a.cfg.Data.KeepDays)*24*time.Hour) })
	return g.Wait()
}

// watchHotplug wakes devices when something is plugged in. Where the system does not tell, they are found by trying.
func (a *agent) watchHotplug(ctx context.Context) {
	if err := devices.WatchHotplug(ctx, a.devices.Wake); err != nil {
		a.log.Info("plugged devices are found within seconds, not at once", "err", err)
	}
}

func (a *agent) close() error {
	if a.cloud != nil {
		a.cloud.Close()
	}
	return a.store.Close()
}
