package installer

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"storeagent/devices"
	"storeagent/installer/config"
	"storeagent/offline"
	"storeagent/offline/sqlite"
	"storeagent/register/wire"
)

// noAgent says that this store's agent does not answer, and who sits on its database or its port nevertheless.
func noAgent(cfg *config.Config, err error) Finding {
	if hs := holders(filepath.Join(cfg.Data.Dir, sqlite.LockFile)); len(hs) > 0 {
		h := hs[0]
		return Finding{
			Part: "agent", Name: "service", Level: Failure, Code: "locked",
			Message: "no agent answers on " + cfg.Server.Listen + ", but " + h.String() + " holds the database in " + cfg.Data.Dir,
			Hint:    fmt.Sprintf("it hangs, or was started with another server.listen: stop it (sudo systemctl stop storeagent, or end process %d), then start it again", h.pid),
		}
	}
	if errors.Is(err, ErrNotOurs) {
		return Finding{
			Part: "agent", Name: "service", Level: Failure, Code: "port_taken", Message: "something listens on " + cfg.Server.Listen + ", but " + err.Error(),
			Hint: "end it, or give this one another server.listen; meanwhile the devices are asked directly",
		}
	}
	return Finding{
		Part: "agent", Name: "service", Level: Warning, Code: "not_running", Message: "no agent answers on " + cfg.Server.Listen,
		Hint: "start it: sudo systemctl start storeagent, or storeagent serve where it is no service; meanwhile the devices are asked directly, and sign-in and queue stay unknown",
	}
}

// agentDeaf is an agent that runs and cannot be asked. It has the devices, so they are not opened behind its back.
func agentDeaf(cfg *config.Config, err error) Finding {
	f := Finding{Part: "agent", Name: "service", Level: Failure, Code: "agent_error", Message: "it runs, but cannot be asked: " + err.Error(), Hint: "read its log: journalctl -u storeagent"}
	var refused *wire.Problem
	switch {
	case errors.Is(err, fs.ErrPermission):
		f.Code, f.Hint = "no_permission", "run this with sudo, or as the user that runs storeagent"
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		f.Code = "no_permission"
		f.Hint = "it does not know its own token any more: remove " + filepath.Join(cfg.Data.Dir, "technician.token") + " and restart storeagent, which makes a new one"
	}
	return f
}

// queueCodes are the problems of the agent that concern deliveries; they stand with the queue.
func queueCodes() []string {
	return []string{
		"operations_parked", "queue_late", "queue_paused", "cloud_offline", "permission_missing", "operation_unsupported",
		"outbox_failing", "unknown_outcome_resend",
	}
}

// agentFindings is what the running agent says of itself, each trouble once and in the agent's own words.
func agentFindings(st wire.Status) []Finding {
	out := []Finding{{Part: "agent", Name: "service", Level: OK, Message: "runs since " + st.StartedAt.Local().Format(time.DateTime) + ", version " + st.Version}}
	signIn := signInFinding(st.SignIn)
	queue := []Finding{{
		Part: "queue", Name: string(st.Queue.Connection), Level: OK,
		Message: fmt.Sprintf("%d queued, %d sending, %d in doubt, %d parked, %d delivered", st.Queue.Queued, st.Queue.Sending, st.Queue.InDoubt, st.Queue.Parked, st.Queue.Delivered),
	}}
	seen := map[string]bool{}
	for _, p := range st.Problems {
		key := p.Code + "\x00" + p.Message
		if p.Code == "storage_full" {
			key = p.Code // disk and database both say it
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		f := Finding{Part: "agent", Name: p.Code, Level: Warning, Code: p.Code, Message: p.Message, Hint: p.Hint}
		if p.Severity == "error" {
			f.Level = Failure
		}
		switch {
		case strings.HasPrefix(p.Code, "device_"): // the device itself says it, below
		case (p.Code == "sign_in" || p.Code == "cloud_signed_out") && signIn.Level != OK: // the sign-in says it
		case slices.Contains(queueCodes(), p.Code):
			f.Part = "queue"
			queue = append(queue, f)
		default:
			out = append(out, f)
		}
	}
	out = append(append(out, signIn), queue...)
	if st.ClockSkewMS != nil {
		out = append(out, clockFinding(time.Duration(*st.ClockSkewMS)*time.Millisecond))
	}
	for _, d := range st.Devices {
		out = append(out, deviceFinding(d, time.Now()))
	}
	return out
}

// signInFinding words the sign-in.
func signInFinding(st offline.SignInStatus) Finding {
	f := Finding{Part: "sign-in", Name: st.State, Level: Failure, Code: st.State, Hint: "storeagent sign-in; selling goes on without it, delivering does not"}
	switch st.State {
	case "signed_in":
		f.Level, f.Code, f.Hint, f.Message = OK, "", "", "as "+orElse(st.Account, "an account without a name")
	case "pending":
		f.Level, f.Message, f.Hint = Warning, "waits for somebody to approve code "+st.UserCode, "open "+st.VerificationURI+" and type the code"
	case "expired":
		f.Message = "nobody approved the sign-in in time"
	case "denied":
		f.Message = "the sign-in was denied"
	default:
		f.Message = "nobody is signed in to the cloud"
	}
	if p := st.Problem; p != nil {
		f.Message = p.Message
		if f.Level == OK { // it holds for now
			f.Level, f.Code, f.Hint = Warning, p.Code, "storeagent sign-in, when it suits; deliveries may stop soon"
		}
	}
	return f
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// startLimit is how long a device that was just opened may say nothing before that counts as a fault.
const startLimit = 15 * time.Second

// deviceFinding turns a device's state into a finding, the same for the agent's word and for our own look.
func deviceFinding(i devices.Info, now time.Time) Finding {
	f := Finding{Part: "device", Name: i.Name, Level: OK, Message: strings.Join(strings.Fields(fmt.Sprintf("%s (%s) %s %s", i.State, i.Driver, i.Model, i.Status.Text)), " ")}
	works := i.State == devices.Ready || i.State == devices.Busy || i.State == devices.Claimed
	switch p := i.LastError; {
	case !works && p != nil:
		f.Level, f.Code, f.Message, f.Hint = Failure, p.Code, p.Message, p.Hint
	case !works && i.State == devices.Error && i.Status.Text != "":
		f.Level, f.Code, f.Message, f.Hint = Failure, "device_error", i.Status.Text, "see the device's own display"
	case !works && now.Sub(i.Since) < startLimit:
		f.Level, f.Code, f.Message, f.Hint = Warning, "starting", i.Port+" opens, and the device has not said anything yet", "look again in a few seconds"
	case !works:
		f.Level, f.Code, f.Message = Failure, "silent", i.Port+" opens, and nothing has answered yet"
		f.Hint = "check that the device is on, and that cable and port settings match it"
	case i.Warning() != nil:
		w := i.Warning()
		f.Level, f.Code, f.Message, f.Hint = Warning, w.Code, w.Message, w.Hint
	case i.Category == devices.Scanner:
		f.Message += "; whether it reads shows storeagent scan-test " + i.Name
	}
	return f
}
