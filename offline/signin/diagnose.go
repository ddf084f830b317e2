package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Finding is one thing that Diagnose looked at.
type Finding struct {
	Step   string // config, discovery, tls, issuer, flow or clock
	OK     bool
	Detail string // what was seen
	Hint   string // the next step, where not OK
}

// clockLimit is how far the clock may be off before ID tokens and certificates suffer.
const clockLimit = 2 * time.Minute

// Diagnose asks the sign-in server for its announcement and judges what it sees, for the check command. It needs no
// running agent, signs nobody in and writes nothing. Steps that cannot be judged, because an earlier one failed, are
// left out.
func Diagnose(ctx context.Context, cfg Config) []Finding {
	if err := cfg.check(); err != nil {
		return []Finding{{Step: "config", Detail: err.Error(), Hint: "correct the [cloud] part of the configuration"}}
	}
	client, err := newHTTPClient(cfg)
	if err != nil {
		return []Finding{{Step: "config", Detail: err.Error(), Hint: "check cloud.ca_file: it must name a readable PEM file"}}
	}
	defer client.CloseIdleConnections()
	before := time.Now()
	md, _, header, err := fetchMetadata(ctx, client, cfg.Issuer)
	var out []Finding
	if header != nil {
		out = append(out, Finding{Step: "tls", OK: true, Detail: "the connection to " + cfg.Issuer + " stands"})
		if f, ok := clockFinding(header, before, time.Now()); ok {
			out = append(out, f)
		}
	}
	if err != nil {
		return append(out, discoveryFinding(err))
	}
	return append(out,
		Finding{Step: "discovery", OK: true, Detail: "the sign-in server announces itself"},
		Finding{Step: "issuer", OK: true, Detail: "it calls itself " + md.IssuerURL},
		flowFinding(cfg, md))
}

func discoveryFinding(err error) Finding {
	var e *Error
	if !errors.As(err, &e) {
		return Finding{Step: "discovery", Detail: err.Error(), Hint: "check cloud.issuer"}
	}
	f := Finding{Step: "discovery", Detail: e.Error(), Hint: "open cloud.issuer with a browser on this machine, and see what answers"}
	switch e.Code {
	case "tls":
		f.Step, f.Hint = "tls", "check this machine's clock and cloud.ca_file; a guest network page in the way looks like this too"
	case "issuer_mismatch":
		f.Step, f.Hint = "issuer", "set cloud.issuer to exactly what the server calls itself, the last slash included"
	case "network":
		f.Hint = "check the network cable and whether this machine can look up names"
	}
	return f
}

func flowFinding(cfg Config, md *metadata) Finding {
	f := Finding{Step: "flow", OK: true, Detail: "the server offers what cloud.flow = \"" + string(cfg.Flow) + "\" needs"}
	switch {
	case cfg.Flow == FlowDevice && md.DeviceAuthURL == "":
		return Finding{Step: "flow", Detail: noDeviceEndpoint(cfg.Issuer).Message, Hint: "set cloud.flow = \"browser\""}
	case cfg.Flow == FlowBrowser && md.AuthURL == "":
		return Finding{Step: "flow", Detail: "the server announces no authorization endpoint", Hint: "set cloud.flow = \"device\""}
	}
	return f
}

// clockFinding compares this machine's clock with the answer's Date header, which is whole seconds.
func clockFinding(h http.Header, before, after time.Time) (Finding, bool) {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return Finding{}, false
	}
	mid := before.Add(after.Sub(before) / 2)
	off := mid.Sub(at).Truncate(time.Second)
	f := Finding{Step: "clock", OK: off.Abs() <= clockLimit, Detail: fmt.Sprintf("this machine's clock is %s off the server's", off.Abs())}
	if !f.OK {
		side := "ahead of"
		if off < 0 {
			side = "behind"
		}
		f.Detail = fmt.Sprintf("this machine's clock is %s %s the server's", off.Abs().Round(time.Minute), side)
		f.Hint = "set the clock, and turn on time synchronisation"
	}
	return f, true
}
