package main

import (
	"storeagent/devices"
	"storeagent/installer/config"
	"storeagent/payments/pax"
	"storeagent/payments/telium"
)

// timedOptions is the shape of [device.options] of the terminals that need no password and print their own slips.
type timedOptions struct {
	TimeoutS int `toml:"timeout_s"` // longest wait for a result
}

func buildPAX(p parts, d config.Device) (devices.Device, error) {
	return pax.New(pax.Config{
		Name: d.Name, Port: d.Port.String(), Open: p.open(d.Port),
		Options: pax.Options{TimeoutS: d.Decoded.(*timedOptions).TimeoutS, Currency: p.currency},
		Log:     p.log, OnChange: p.onChange,
	})
}

func buildTelium(p parts, d config.Device) (devices.Device, error) {
	return telium.New(telium.Config{
		Name: d.Name, Port: d.Port.String(), Open: p.open(d.Port),
		Options: telium.Options{TimeoutS: d.Decoded.(*timedOptions).TimeoutS},
		Log:     p.log, OnChange: p.onChange,
	})
}
