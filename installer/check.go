package installer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"storeagent/devices"
	"storeagent/devices/discovery"
	"storeagent/installer/config"
	"storeagent/offline/signin"
	"storeagent/register/wire"
)

// Agent is the running agent, asked over its API.
type Agent interface {
	Status(ctx context.Context) (wire.Status, error)
}

// What Options.Connect fails with where there is no agent to be asked.
var (
	ErrNoAgent = errors.New("no agent answers")                        // nobody listens at its address
	ErrNotOurs = errors.New("it is not the agent of this data folder") // something else does, or another storeagent
)

// Options say what to check.
type Options struct {
	ConfigPath string
	Drivers    []config.Driver
	// Connect finds the running agent. An error that is ErrNoAgent or ErrNotOurs makes Check ask the devices itself; any
	// other one says why the agent that is there cannot be asked.
	Connect func(ctx context.Context, cfg *config.Config) (Agent, error)
	// SignIn gives the sign-in settings of the configuration.
	SignIn func(cfg *config.Config) (signin.Config, error)
	// Build makes one configured device, to be asked directly where no agent runs.
	Build func(cfg *config.Config, d config.Device) (devices.Device, error)
	// Plugged lists what is plugged in, so that a missing device can be found on another port; nil leaves that out.
	Plugged func(ctx context.Context) ([]discovery.Found, error)
	// Fix repairs what is surely safe: it makes a missing data folder and closes an open one to other users.
	Fix bool
}

// agentLimit is how long a running agent may take to answer.
const agentLimit = 5 * time.Second

// Check looks at everything and reports it. It never fails: what cannot be looked at is a finding.
func Check(ctx context.Context, o Options) *Report {
	r := newReport()
	cfg, err := config.Load(o.ConfigPath, o.Drivers)
	if err != nil {
		r.add(configuration(o.ConfigPath, err)...)
		return r
	}
	r.add(Finding{Part: "configuration", Name: cfg.Path, Level: OK, Message: fmt.Sprintf("store %s, register %s, %d devices", cfg.Store.Code, cfg.Store.Register, len(cfg.Devices))})
	r.add(dataFolder(cfg.Data.Dir, o.Fix)...)

	// The slow parts side by side: a silent device takes as long as a dead line.
	var clouds []Finding
	var wg sync.WaitGroup
	wg.Go(func() { clouds = cloud(ctx, cfg, o.SignIn) })
	st, running, err := ask(ctx, cfg, o.Connect)
	var rest []Finding
	switch {
	case err == nil:
		r.Agent = true
		rest = agentFindings(st)
		nameHolders(rest, cfg)
	case running:
		rest = []Finding{agentDeaf(cfg, err)}
	default:
		rest = append([]Finding{noAgent(cfg, err)}, direct(ctx, cfg, o.Build)...)
	}
	findMissing(ctx, rest, cfg, o.Plugged)
	wg.Wait()
	r.add(clouds...)
	if r.Agent {
		rest = oneClock(rest, clouds)
	}
	r.add(rest...)
	return r
}

// eachDevice calls f with every finding about a device and its configuration.
func eachDevice(list []Finding, cfg *config.Config, f func(*Finding, config.Device)) {
	for i := range list {
		for _, d := range cfg.Devices {
			if list[i].Part == "device" && list[i].Name == d.Name {
				f(&list[i], d)
			}
		}
	}
}

// nameHolders adds who holds the ports that the running agent could not get.
func nameHolders(list []Finding, cfg *config.Config) {
	eachDevice(list, cfg, func(f *Finding, d config.Device) { f.nameHolder(d) })
}

// findMissing looks for missing devices among what is plugged in.
func findMissing(ctx context.Context, list []Finding, cfg *config.Config, scan func(context.Context) ([]discovery.Found, error)) {
	if scan == nil {
		return
	}
	found, err := scan(ctx)
	if err != nil {
		return // the driver's own hint stands
	}
	plugged := Match(found, cfg)
	eachDevice(list, cfg, func(f *Finding, d config.Device) { f.couldBe(d.Category, plugged) })
}

// ask gets the running agent's status; running tells an agent that will not talk from none.
func ask(ctx context.Context, cfg *config.Config, connect func(context.Context, *config.Config) (Agent, error)) (st wire.Status, running bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, agentLimit)
	defer cancel()
	agent, err := connect(ctx, cfg)
	if err != nil {
		return st, !errors.Is(err, ErrNoAgent) && !errors.Is(err, ErrNotOurs), err
	}
	st, err = agent.Status(ctx)
	return st, true, err
}

// configuration reports a file that was refused.
func configuration(path string, err error) []Finding {
	var list *config.Error
	if !errors.As(err, &list) {
		return []Finding{{Part: "configuration", Name: path, Level: Failure, Code: "config", Message: err.Error()}}
	}
	var out []Finding
	for _, p := range list.Problems {
		name := p.File
		if p.Line > 0 {
			name = fmt.Sprintf("%s:%d", p.File, p.Line)
		}
		message := p.Message
		if p.Key != "" {
			message = p.Key + ": " + message
		}
		out = append(out, Finding{Part: "configuration", Name: name, Level: Failure, Code: "config", Message: message, Hint: p.Hint})
	}
	return out
}
