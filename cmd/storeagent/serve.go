package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"storeagent/installer"
	"storeagent/installer/config"
	"storeagent/installer/setup"
	"storeagent/internal/logfile"
)

type serveCmd struct {
	LogLevel slog.Level `help:"debug, info, warn or error." default:"info"`
	LogJSON  bool       `help:"Write the log as JSON."`
}

// Run runs the agent until it is told to stop, on Windows by the service manager where that started it.
func (c serveCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	log, closeLog := c.newLog(e, cfg.Data.Dir)
	defer closeLog()
	if runtime.GOOS == "windows" && !setup.Interactive() {
		return setup.RunService(e.ctx, func(ctx context.Context) error {
			err := serve(ctx, e, cfg, log)
			if err != nil {
				log.Error("storeagent ended", "err", err) // a service has no standard error
			}
			return err
		})
	}
	return serve(e.ctx, e, cfg, log)
}

// serve runs the agent until ctx ends.
func serve(ctx context.Context, e *env, cfg *config.Config, log *slog.Logger) (err error) {
	var listeners []net.Listener
	for _, addr := range cfg.Server.ListenAddresses() {
		l, err := listenLoopback(ctx, addr)
		if err != nil {
			closeAll(listeners)
			return fmt.Errorf("the API cannot listen on %s: %w; is another storeagent running?", addr, err)
		}
		listeners = append(listeners, l)
	}
	a, err := newAgent(ctx, cfg, log, e.getenv)
	if err != nil {
		closeAll(listeners)
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	log.Info("storeagent serves", "version", version, "address", listeners[0].Addr().String(), "store", cfg.Store.Code,
		"register", cfg.Store.Register, "data", cfg.Data.Dir, "token", filepath.Join(cfg.Data.Dir, technicianToken))
	return a.run(ctx, listeners...)
}

// logLimit is the size of each of the two files of the log in the data folder, in bytes.
const logLimit = 1 << 20

// newLog writes to standard error, and for support bundles into the data folder, crashes included.
func (c serveCmd) newLog(e *env, dir string) (log *slog.Logger, end func()) {
	o := &slog.HandlerOptions{Level: c.LogLevel}
	var h slog.Handler = slog.NewTextHandler(e.stderr, o)
	if c.LogJSON {
		h = slog.NewJSONHandler(e.stderr, o)
	}
	err := os.MkdirAll(dir, 0o700)
	var file *logfile.File
	if err == nil {
		file, err = logfile.Open(filepath.Join(dir, installer.LogName), logLimit, func(f *os.File) {
			_ = debug.SetCrashOutput(f, debug.CrashOptions{}) // a crash without a copy is still on standard error
		})
	}
	if err != nil {
		log = slog.New(h)
		log.Warn("no log is kept in the data folder", "err", err)
		return log, func() {}
	}
	kept := slog.NewTextHandler(file, &slog.HandlerOptions{Level: min(c.LogLevel, slog.LevelInfo)})
	return slog.New(slog.NewMultiHandler(h, kept)), func() {
		_ = debug.SetCrashOutput(nil, debug.CrashOptions{})
		if err := file.Close(); err != nil {
			slog.New(h).Warn("close the log", "err", err)
		}
	}
}

func closeAll(list []net.Listener) {
	for _, l := range list {
		l.Close()
	}
}
