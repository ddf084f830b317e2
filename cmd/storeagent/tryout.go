package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"storeagent/devices"
	"storeagent/installer/config"
	"storeagent/offline"
	"storeagent/offline/cloud"
)

// tryDevice makes one device as the agent would, with the printer that it is plugged into. Nothing is opened yet: an
// error says what the agent would refuse to start with.
func (e *env) tryDevice(cfg *config.Config, d config.Device) (devices.Device, error) {
	log := slog.New(slog.DiscardHandler)
	p := parts{
		opener: newOpener(), log: log, getenv: e.getenv, onChange: func(devices.Info) {}, sink: deaf{},
		currency: cfg.Store.Currency, fonts: newTypesetter(log),
	}
	if d.Driver == cloud.TerminalDriver {
		var err error
		if p.cloud, err = cloud.New(cloud.Config{Endpoint: cfg.Cloud.Endpoint, Token: signedOut{}}); err != nil {
			return nil, err
		}
	}
	devs, err := buildDevices(p, withPrinter(cfg.Devices, d))
	if err == nil && len(devs) == 0 { // the configuration is checked against the same table, so this is only to be sure
		err = fmt.Errorf("no driver %q", d.Driver)
	}
	if err != nil {
		return nil, err
	}
	return devs[len(devs)-1], nil
}

// signedOut is the sign-in of a command: only the running agent has one.
type signedOut struct{}

func (signedOut) AccessToken(context.Context) (string, error) { return "", offline.ErrSignedOut }
func (signedOut) Refused(context.Context, string) error       { return offline.ErrSignedOut }

// tryParts makes what the agent makes of the configuration before it starts, and says what is wrong with each part, of
// devices with the line. unseen are those with a secret that this user may not see, or that is in the service's
// environment only.
func (e *env) tryParts(cfg *config.Config) (unseen []string, err error) {
	var problems []config.Problem
	var said []string
	judge := func(line int, err error) {
		if err == nil || slices.Contains(said, err.Error()) { // a printer's fault shows in what is behind it, too
			return
		}
		said = append(said, err.Error())
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, config.ErrNotSet) {
			unseen = append(unseen, err.Error())
			return
		}
		problems = append(problems, config.Problem{File: cfg.Path, Line: line, Message: err.Error()})
	}
	_, err = signInConfig(cfg, e.getenv, slog.New(slog.DiscardHandler))
	judge(0, err)
	judge(0, rootsOf(cfg))
	for _, d := range cfg.Devices {
		_, err := e.tryDevice(cfg, d)
		judge(d.Line, err)
	}
	if len(problems) > 0 {
		return unseen, &exitError{exitUsage, &config.Error{Problems: problems}}
	}
	return unseen, nil
}
