package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
)

type serveCmd struct {
	LogLevel slog.Level `help:"debug, info, warn or error." default:"info"`
	LogJSON  bool       `help:"Write the log as JSON."`
}

// Run runs the agent until it is told to stop.
func (c serveCmd) Run(e *env) (err error) {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	o := &slog.HandlerOptions{Level: c.LogLevel}
	log := slog.New(slog.NewTextHandler(e.stderr, o))
	if c.LogJSON {
		log = slog.New(slog.NewJSONHandler(e.stderr, o))
	}
	var listeners []net.Listener
	for _, addr := range cfg.Server.ListenAddresses() {
		l, err := listenLoopback(e.ctx, addr)
		if err != nil {
			closeAll(listeners)
			return fmt.Errorf("the API cannot listen on %s: %w; is another storeagent running?", addr, err)
		}
		listeners = append(listeners, l)
	}
	a, err := newAgent(e.ctx, cfg, log, e.getenv)
	if err != nil {
		closeAll(listeners)
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	log.Info("storeagent serves", "version", version, "address", listeners[0].Addr().String(), "store", cfg.Store.Code,
		"register", cfg.Store.Register, "data", cfg.Data.Dir, "token", filepath.Join(cfg.Data.Dir, technicianToken))
	return a.run(e.ctx, listeners...)
}

func closeAll(list []net.Listener) {
	for _, l := range list {
		l.Close()
	}
}
