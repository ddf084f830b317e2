package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"storeagent/devices"
	"storeagent/installer/config"
	"storeagent/payments/money"
	"storeagent/payments/nexo"
	"storeagent/payments/terminalsim"
)

// nexoOptions is the shape of [device.options] of a nexo terminal.
type nexoOptions struct {
	POIID         string        `toml:"poiid"`          // model and serial number, like P400Plus-275039202
	SaleID        string        `toml:"sale_id"`        // names this register at the terminal
	KeyIdentifier string        `toml:"key_identifier"` // of the shared key, as set at the terminal
	KeyVersion    int           `toml:"key_version"`
	Passphrase    config.Secret `toml:"passphrase"`
	Root          string        `toml:"root"`      // PEM file of the root certificate that signs the terminals'
	TimeoutS      int           `toml:"timeout_s"` // longest wait for a result
	Print         string        `toml:"print"`     // register: slips come through us; terminal: it prints them
}

func buildNexo(p parts, d config.Device) (devices.Device, error) {
	o := d.Decoded.(*nexoOptions)
	if o.Print != "register" && o.Print != "terminal" {
		return nil, fmt.Errorf("option print: want register or terminal, not %q", o.Print)
	}
	if o.Passphrase.IsZero() {
		return nil, errors.New("option passphrase is missing: name the file that holds it, like file:/etc/storeagent/nexo-passphrase")
	}
	passphrase, err := o.Passphrase.Resolve(p.getenv)
	if err != nil {
		return nil, err
	}
	var root []byte
	if o.Root != "" {
		if root, err = os.ReadFile(strings.TrimPrefix(o.Root, "file:")); err != nil {
			return nil, fmt.Errorf("option root: %w", err)
		}
	}
	return nexo.New(nexo.Config{
		Name: d.Name, Port: d.Port.String(),
		Options: nexo.Options{
			POIID: o.POIID, SaleID: o.SaleID, KeyIdentifier: o.KeyIdentifier, KeyVersion: o.KeyVersion, Passphrase: passphrase,
			RootPEM: root, TimeoutS: o.TimeoutS, Print: o.Print == "register", Currency: p.currency, Version: version,
		},
		Log: p.log, OnChange: p.onChange,
	})
}

// What the simulated nexo terminal is called.
const (
	simPOIID = "P400Plus-275039202"
	simKey   = "storekey"
)

// runNexo runs a simulated nexo terminal. Its certificate and its passphrase are made for this run only.
func (c simTerminalCmd) runNexo(e *env, o terminalsim.Options) (err error) {
	target, ok := strings.CutPrefix(c.Port, "tcp:")
	if !ok {
		return &exitError{exitUsage, fmt.Errorf("--port %q: a nexo terminal speaks HTTPS, so want tcp:HOST:PORT", c.Port)}
	}
	currency, ok := money.ByNumeric(o.Currency)
	if !ok {
		return &exitError{exitUsage, fmt.Errorf("--currency %q is no ISO 4217 number that terminals know", o.Currency)}
	}
	dir, err := os.MkdirTemp("", "storeagent-nexo-")
	if err != nil {
		return fmt.Errorf("make folder for certificate and passphrase: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cert, root, err := terminalsim.NexoCertificate(simPOIID)
	if err != nil {
		return err
	}
	passphrase := rand.Text()
	rootFile, passFile := filepath.Join(dir, "root.pem"), filepath.Join(dir, "passphrase")
	if err := errors.Join(os.WriteFile(rootFile, root, 0o600), os.WriteFile(passFile, []byte(passphrase), 0o600)); err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(e.ctx, "tcp", target)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	term := terminalsim.NewNexo(terminalsim.NexoOptions{
		POIID: simPOIID, KeyIdentifier: simKey, KeyVersion: 1, Passphrase: passphrase, Currency: currency, Script: o.Script, OnStep: o.OnStep,
	})
	e.printf(`card terminal (nexo) at https://%[1]s/nexo, for storeagent.toml:

[[device]]
name = "card"
driver = "nexo"
port = "https://%[1]s/nexo"
[device.options]
poiid = %[2]q
sale_id = "LANE-1"
key_identifier = %[3]q
key_version = 1
passphrase = %[4]q
root = %[5]q

`, l.Addr(), simPOIID, simKey, "file:"+passFile, rootFile)
	return term.Serve(e.ctx, l, cert)
}
