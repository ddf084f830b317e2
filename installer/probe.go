package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/installer/config"
	"storeagent/offline/sqlite"
)

const (
	probeLimit  = 18 * time.Second // for one device to say how it is: a card terminal gives up on a dead line after 15 s
	probePeriod = 50 * time.Millisecond
	settledFor  = 10 // looks without a change of mind, so that a printer can tell of cover and paper
)

// direct asks the devices without an agent, all at once. A port that another process holds is left alone: as root it
// would open, and two readers would share the bytes.
func direct(ctx context.Context, cfg *config.Config, build func(*config.Config, config.Device) (devices.Device, error)) []Finding {
	out := make([]Finding, len(cfg.Devices))
	agents := holders(filepath.Join(cfg.Data.Dir, sqlite.LockFile)) // one that does not answer
	var wg sync.WaitGroup
	for i, d := range cfg.Devices {
		wg.Go(func() { out[i] = look(ctx, cfg, d, agents, build) })
	}
	wg.Wait()
	for i, d := range cfg.Devices { // a printer that cannot be made is said once
		if p := slices.IndexFunc(cfg.Devices, func(p config.Device) bool { return d.Port.Scheme == port.SchemePrinter && p.Name == d.Port.Target }); p >= 0 && out[i].Message == out[p].Message {
			out[i].Message, out[i].Hint = "behind "+d.Port.Target+", which cannot be used", "correct "+d.Port.Target+" first"
		}
	}
	return out
}

func look(ctx context.Context, cfg *config.Config, d config.Device, agents []holder, build func(*config.Config, config.Device) (devices.Device, error)) Finding {
	if node := nodeOf(d.Port); node != "" {
		if hs := holders(node); len(hs) > 0 {
			f := held(d.Name, node, hs[0])
			if slices.Contains(agents, hs[0]) {
				f.Hint = "that is the agent above: when it is stopped, the port is free"
			}
			return f
		}
	}
	dev, err := build(cfg, d)
	if err != nil {
		f := Finding{Part: "device", Name: d.Name, Level: Failure, Code: "config", Message: err.Error(), Hint: fmt.Sprintf("correct this device's [[device]] part in %s, line %d", cfg.Path, d.Line)}
		if errors.Is(err, fs.ErrPermission) {
			f.Code, f.Hint = "no_permission", "run this with sudo, or as the user that runs storeagent: that user must be able to read the file"
		}
		return f
	}
	if d.Port.Scheme == "" {
		return Finding{Part: "device", Name: d.Name, Level: OK, Message: "has no port of its own; only the running agent can tell how it is"}
	}
	if d.Port.Scheme == port.SchemePrinter { // its printer is asked by itself
		known := "whether it opens shows the demand to open it"
		if d.Category == devices.LineDisplay {
			known = "it shows text while that printer can print"
		}
		return Finding{Part: "device", Name: d.Name, Level: OK, Message: "behind " + d.Port.Target + "; " + known}
	}
	return deviceFinding(probe(ctx, dev), time.Now())
}

// probe runs a device until it has said how it is.
func probe(ctx context.Context, d devices.Device) devices.Info {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = d.Run(ctx) // what went wrong stands in Info
	}()
	tick := time.NewTicker(probePeriod)
	defer tick.Stop()
	info, same := d.Info(), 0
	for same < settledFor {
		select {
		case <-tick.C:
		case <-done: // it can never work, or the time is over
			if now := d.Info(); ctx.Err() == nil {
				return now
			}
			return info
		}
		now := d.Info()
		same++
		if now.State == devices.Offline && now.LastError == nil || now.State != info.State || (now.LastError == nil) != (info.LastError == nil) {
			same = 0
		}
		info = now
	}
	cancel()
	<-done
	return info
}
