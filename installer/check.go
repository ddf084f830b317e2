package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"storeagent/devices"
	"storeagent/installer/config"
	"storeagent/offline"
	"storeagent/offline/signin"
	"storeagent/offline/sqlite"
	"storeagent/register/wire"
)

// Limits of what is taken for healthy.
const (
	lowSpace    = 500 << 20        // free bytes below which a warning is due
	noSpace     = 50 << 20         // and a failure
	clockSlack  = 2 * time.Minute  // beyond it sign-ins and certificates suffer
	oldQueue    = 15 * time.Minute // an undelivered sale older than that is worth a look
	probeLimit  = 6 * time.Second  // for one device to say how it is
	probePeriod = 50 * time.Millisecond
)

// Agent is the running agent, asked over its API.
type Agent interface {
	Status(ctx context.Context) (wire.Status, error)
}

// Options say what to check.
type Options struct {
	ConfigPath string
	Drivers    []config.Driver
	// Connect finds the running agent; nil where none answers.
	Connect func(ctx context.Context, cfg *config.Config) Agent
	// SignIn gives the sign-in settings of the configuration.
	SignIn func(cfg *config.Config) (signin.Config, error)
	// Build makes the configured devices, to be asked directly where no agent runs.
	Build func(cfg *config.Config) ([]devices.Device, error)
}

// Check looks at everything and reports it. It never fails: what cannot be looked at is a finding.
func Check(ctx context.Context, o Options) *Report {
	r := &Report{}
	cfg, err := config.Load(o.ConfigPath, o.Drivers)
	if err != nil {
		r.configuration(o.ConfigPath, err)
		return r
	}
	r.add(Finding{Part: "configuration", Name: cfg.Path, Level: OK, Message: fmt.Sprintf("store %s, register %s, %d devices", cfg.Store.Code, cfg.Store.Register, len(cfg.Devices))})
	r.dataFolder(cfg.Data.Dir)
	r.cloud(ctx, cfg, o)
	if agent := o.Connect(ctx, cfg); agent != nil {
		st, err := agent.Status(ctx)
		if err == nil {
			r.Agent = true
			r.running(st)
			return r
		}
		r.add(Finding{Part: "agent", Name: "status", Level: Failure, Message: err.Error(), Hint: "read the agent's log"})
	} else {
		r.add(Finding{
			Part: "agent", Name: "service", Level: Warning, Code: "not_running", Message: "no agent answers on " + cfg.Server.Listen,
			Hint: "start it with storeagent serve; devices are asked directly meanwhile",
		})
	}
	r.direct(ctx, cfg, o)
	return r
}

// configuration reports a file that was refused.
func (r *Report) configuration(path string, err error) {
	var list *config.Error
	if !errors.As(err, &list) {
		r.add(Finding{Part: "configuration", Name: path, Level: Failure, Message: err.Error()})
		return
	}
	for _, p := range list.Problems {
		name := p.File
		if p.Line > 0 {
			name = fmt.Sprintf("%s:%d", p.File, p.Line)
		}
		message := p.Message
		if p.Key != "" {
			message = p.Key + ": " + message
		}
		r.add(Finding{Part: "configuration", Name: name, Level: Failure, Code: "config", Message: message, Hint: p.Hint})
	}
}

// dataFolder looks at where everything is kept.
func (r *Report) dataFolder(dir string) {
	f := Finding{Part: "data", Name: dir, Level: OK}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.Level, f.Code, f.Message = Warning, "missing", "does not exist yet"
		f.Hint = "the first storeagent serve makes it, if its user may"
	case err != nil:
		f.Level, f.Code, f.Message, f.Hint = Failure, "no_permission", err.Error(), "run this as the user that runs storeagent"
	case !info.IsDir():
		f.Level, f.Code, f.Message, f.Hint = Failure, "bad_address", "is not a folder", "correct data.dir"
	case !writable(dir):
		f.Level, f.Code, f.Message = Failure, "no_permission", "this user may not write there"
		f.Hint = "run this as the user that runs storeagent, or give that user the folder"
	case tooOpen(info):
		f.Level, f.Code, f.Message = Warning, "open", "other users may read it"
		f.Hint = "chmod 700 " + dir
	default:
		f.Message = "is there and writable"
	}
	r.add(f)
	if err == nil && info.IsDir() {
		r.space(dir)
	}
}

func (r *Report) space(dir string) {
	free, _, err := sqlite.Space(dir)
	f := Finding{Part: "data", Name: "free space", Level: OK, Message: fmt.Sprintf("%d MiB", free>>20), Hint: "free space on the disk that holds " + dir}
	switch {
	case err != nil:
		f.Level, f.Message, f.Hint = Warning, err.Error(), ""
	case free < noSpace:
		f.Level, f.Code = Failure, "storage_full"
	case free < lowSpace:
		f.Level, f.Code = Warning, "storage_low"
	}
	r.add(f)
}

// cloud asks the sign-in server for its announcement: name, TLS, clock and flow show there.
func (r *Report) cloud(ctx context.Context, cfg *config.Config, o Options) {
	sc, err := o.SignIn(cfg)
	if err != nil {
		r.add(Finding{Part: "cloud", Name: "client_secret", Level: Failure, Message: err.Error(), Hint: "check the reference in cloud.client_secret"})
		return
	}
	for _, f := range signin.Diagnose(ctx, sc) {
		level := OK
		if !f.OK {
			level = Failure
		}
		if !f.OK && f.Step == "clock" {
			level = Warning
		}
		r.add(Finding{Part: "cloud", Name: f.Step, Level: level, Code: codeOf(f), Message: f.Detail, Hint: f.Hint})
	}
}

func codeOf(f signin.Finding) string {
	if f.OK {
		return ""
	}
	return f.Step
}

// running reports what the agent says of itself.
func (r *Report) running(st wire.Status) {
	r.add(Finding{Part: "agent", Name: "service", Level: OK, Message: "runs since " + st.StartedAt.Local().Format(time.DateTime) + ", version " + st.Version})
	r.signIn(st.SignIn)
	r.queue(st.Queue)
	if st.ClockSkewMS != nil {
		skew := time.Duration(*st.ClockSkewMS) * time.Millisecond
		f := Finding{Part: "cloud", Name: "clock against the API", Level: OK, Message: fmt.Sprintf("differs by %s", skew.Round(time.Millisecond))}
		if skew.Abs() > clockSlack {
			f.Level, f.Code, f.Hint = Warning, "clock", "set this machine's clock, best by NTP"
		}
		r.add(f)
	}
	for _, d := range st.Devices {
		r.device(d)
	}
	for _, p := range st.Problems {
		level := Warning
		if p.Severity == "error" {
			level = Failure
		}
		r.add(Finding{Part: "problems", Name: p.Code, Level: level, Code: p.Code, Message: p.Message, Hint: p.Hint})
	}
}

func (r *Report) signIn(st offline.SignInStatus) {
	f := Finding{Part: "sign-in", Name: "state", Level: OK, Message: st.State}
	if st.State != "signed_in" {
		f.Level, f.Code, f.Hint = Warning, st.State, "storeagent sign-in; selling goes on without it, delivering does not"
	}
	if st.Problem != nil {
		f.Message += ": " + st.Problem.Message
	}
	r.add(f)
}

func (r *Report) queue(q offline.QueueStatus) {
	f := Finding{Part: "queue", Name: string(q.Connection), Level: OK, Message: fmt.Sprintf("%d queued, %d parked, %d delivered", q.Queued, q.Parked, q.Delivered)}
	switch {
	case q.Parked > 0:
		f.Level, f.Code, f.Hint = Warning, "parked", "storeagent queue list --state parked, then settle, resend or discard each"
	case time.Duration(q.Exposure.OldestAgeSeconds)*time.Second > oldQueue:
		f.Level, f.Code, f.Hint = Warning, "old", "see the cloud and sign-in lines above; nothing is lost"
	}
	r.add(f)
}

// direct asks the devices without an agent, all at once.
func (r *Report) direct(ctx context.Context, cfg *config.Config, o Options) {
	devs, err := o.Build(cfg)
	if err != nil {
		r.add(Finding{Part: "device", Name: "configuration", Level: Failure, Message: err.Error(), Hint: "correct the [[device]] part of the configuration"})
		return
	}
	infos := make([]devices.Info, len(devs))
	var wg sync.WaitGroup
	for i, d := range devs {
		wg.Go(func() { infos[i] = probe(ctx, d) })
	}
	wg.Wait()
	for _, i := range infos {
		r.device(i)
	}
}

// probe runs a device until it is ready or has said what is wrong, and a moment more so that a printer can tell of
// cover and paper.
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
	info := d.Info()
	for settled := 0; settled < 10 && ctx.Err() == nil; {
		select {
		case <-tick.C:
		case <-ctx.Done():
		case <-done:
			return d.Info()
		}
		info = d.Info()
		if info.State != devices.Offline || info.LastError != nil {
			settled++
		}
	}
	cancel()
	<-done
	return info
}

// device turns a device's state into a finding.
func (r *Report) device(i devices.Info) {
	f := Finding{Part: "device", Name: i.Name, Level: OK, Message: strings.TrimSpace(fmt.Sprintf("%s (%s) %s %s", i.State, i.Driver, i.Model, i.Status.Text))}
	if p := i.LastError; p != nil && i.State != devices.Ready && i.State != devices.Busy && i.State != devices.Claimed {
		f.Level, f.Code, f.Message, f.Hint = Failure, p.Code, p.Message, p.Hint
	} else if i.State == devices.Offline || i.State == devices.Error {
		f.Level, f.Code, f.Hint = Failure, "silent", "check power and cable of "+i.Port
	}
	if f.Level == OK && i.Status.RecNearEnd != nil && *i.Status.RecNearEnd {
		f.Level, f.Code, f.Message, f.Hint = Warning, "paper_low", "the paper is nearly used up", "put a new roll in soon"
	}
	r.add(f)
}
