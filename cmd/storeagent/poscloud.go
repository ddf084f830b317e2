package main

import (
	"storeagent/devices"
	"storeagent/installer/config"
	"storeagent/offline/cloud"
)

// poscloudOptions is the shape of [device.options] of a card terminal that the POS cloud talks to.
type poscloudOptions struct {
	TerminalID   string   `toml:"terminal_id"`   // as the POS cloud has it
	TimeoutS     int      `toml:"timeout_s"`     // longest wait for a result
	DeclineCodes []string `toml:"decline_codes"` // error codes of the cloud that mean that the bank refused
}

func buildPOSCloud(p parts, d config.Device) (devices.Device, error) {
	o := d.Decoded.(*poscloudOptions)
	return cloud.NewTerminal(cloud.TerminalConfig{
		Name: d.Name, Client: p.cloud, TerminalID: o.TerminalID, Currency: p.currency, TimeoutS: o.TimeoutS,
		DeclineCodes: o.DeclineCodes, Log: p.log, OnChange: p.onChange,
	})
}
