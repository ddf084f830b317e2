package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"storeagent/offline/cloudsim"
)

type simCloudCmd struct {
	Port          string        `help:"tcp:HOST:PORT to listen on." required:"" placeholder:"ADDRESS"`
	Access        time.Duration `help:"How long an access token is good." default:"1m"`
	PurchaseQuery string        `help:"Offer a query that finds purchases: purchase, purchases or purchaseByTransaction. The vendor documents none." enum:",purchase,purchases,purchaseByTransaction" default:"" placeholder:"NAME"`
	Terminal      []string      `help:"Offer card terminals of the cloud under these ids, for the driver poscloud." placeholder:"ID"`
}

// Run runs the simulated cloud.
func (c simCloudCmd) Run(e *env) error {
	target, ok := strings.CutPrefix(c.Port, "tcp:")
	if !ok {
		return &exitError{exitUsage, fmt.Errorf("--port %q: want tcp:HOST:PORT", c.Port)}
	}
	for _, id := range c.Terminal {
		if id == "" {
			return &exitError{exitUsage, errors.New("--terminal: a card terminal needs an id")}
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(e.ctx, "tcp", target)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	sim, err := newCloud("http://"+l.Addr().String(), c.Access, cloudsim.Options{PurchaseQuery: c.PurchaseQuery, Terminals: c.Terminal})
	if err != nil {
		l.Close()
		return err
	}
	e.printf("POS cloud: endpoint http://%s%s issuer http://%s client_id %s\nApprove sign-ins at http://%s/device, switch faults at http://%s/_sim/faults, read the ledger at http://%s/_sim/ledger\n",
		l.Addr(), cloudsim.Path, l.Addr(), cloudClientID, l.Addr(), l.Addr(), l.Addr())
	if len(c.Terminal) > 0 {
		e.printf("Card terminals (driver poscloud, option terminal_id): %s; what they do is switched at http://%s/_sim/terminal\n",
			strings.Join(c.Terminal, ", "), l.Addr())
	}
	return serveHTTP(e.ctx, l, sim)
}
