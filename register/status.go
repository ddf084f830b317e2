package register

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"storeagent/devices"
	"storeagent/offline"
	"storeagent/payments"
	"storeagent/register/wire"
)

func (s *Server) getStatus(ctx context.Context, _ *nothing) (*answer[wire.Status], error) {
	return ok(s.status(ctx)), nil
}

// status is gathered from memory; nothing is asked of a device or of the cloud.
func (s *Server) status(ctx context.Context) wire.Status {
	extra, queue, list := s.cfg.Status(), s.cfg.Queue.Status(), s.deviceList()
	if list == nil {
		list = []devices.Info{}
	}
	terminals := s.cfg.Payments.Terminals()
	st := wire.Status{
		Version: s.cfg.Version, StartedAt: s.started, Store: s.cfg.StoreCode, Register: s.cfg.Register,
		Connection: queue.Connection, Queue: queue, Devices: list, SignIn: s.cfg.SignIn.Status(),
		Disk: wire.Disk{FreeBytes: extra.FreeBytes, Backup: extra.Backup}, ClockSkewMS: extra.ClockSkewMS,
	}
	notReady := s.cfg.Ready(ctx)
	st.Can = wire.Can{
		Sell: notReady == nil, Card: canCharge(terminals), Cloud: queue.Connection == offline.Online,
		Print: anyWorks(list, devices.POSPrinter), Scan: anyWorks(list, devices.Scanner),
	}
	st.Problems = append([]wire.StatusProblem{}, extra.Problems...)
	if notReady != nil {
		st.Problems = append(st.Problems, wire.StatusProblem{Code: "cannot_sell", Severity: "error",
			Message: "Sales cannot be accepted now.", Hint: explain(notReady).hint})
	}
	st.Problems = append(st.Problems, s.template.problems()...)
	st.Problems = append(st.Problems, signInProblems(st.SignIn)...)
	st.Problems = append(st.Problems, terminalProblems(terminals)...)
	st.Problems = append(st.Problems, orphanProblems(s.cfg.Payments.Orphans())...)
	st.Problems = append(st.Problems, contradictionProblems(s.cfg.Payments.Contradicted())...)
	st.Problems = append(st.Problems, deviceProblems(list)...)
	return st
}

func works(state devices.State) bool {
	return state == devices.Ready || state == devices.Busy || state == devices.Claimed
}

func anyWorks(list []devices.Info, category devices.Category) bool {
	for _, d := range list {
		if d.Category == category && works(d.State) {
			return true
		}
	}
	return false
}

func canCharge(list []payments.TerminalInfo) bool {
	for _, t := range list {
		if works(t.State) && t.Blocking == "" {
			return true
		}
	}
	return false
}

func signInProblems(st offline.SignInStatus) []wire.StatusProblem {
	if st.Problem == nil {
		return nil
	}
	return []wire.StatusProblem{{Code: "sign_in", Severity: "error", Message: st.Problem.Message, Hint: "See GET /v1/sign-in, then: storeagent sign-in."}}
}

func terminalProblems(terminals []payments.TerminalInfo) []wire.StatusProblem {
	var list []wire.StatusProblem
	for _, t := range terminals {
		if t.Blocking != "" {
			list = append(list, wire.StatusProblem{Code: "terminal_in_doubt", Severity: "error",
				Message: fmt.Sprintf("Terminal %s takes no new money: payment %s is in doubt.", t.Name, t.Blocking),
				Hint:    "Look at the terminal's slips, then resolve the payment: POST /v1/payments/{id}/resolve."})
		}
	}
	return list
}

func orphanProblems(list []payments.Payment) []wire.StatusProblem {
	var problems []wire.StatusProblem
	for _, p := range list {
		problems = append(problems, wire.StatusProblem{Code: "payment_without_sale", Severity: "error",
			Message: fmt.Sprintf("Payment %s of %s %s at terminal %s is approved, and no sale has claimed it.", p.ID, p.Amount, p.Currency, p.Terminal),
			Hint:    "Hand over the sale with a tender that names it, or take it back: POST /v1/payments/{id}/void."})
	}
	return problems
}

func contradictionProblems(list []payments.Payment) []wire.StatusProblem {
	var problems []wire.StatusProblem
	for _, p := range list {
		said := ""
		for _, e := range p.Evidence {
			if e.Contradicts && !e.Settled {
				said = e.Detail
			}
		}
		problems = append(problems, wire.StatusProblem{Code: "payment_contradicted", Severity: "error",
			Message: fmt.Sprintf("Payment %s of %s %s at terminal %s is %s here, but later %s.", p.ID, p.Amount, p.Currency, p.Terminal, p.State, said),
			Hint:    "Look at the terminal's slips or ask the bank, then say what holds: POST /v1/payments/{id}/resolve."})
	}
	return problems
}

func deviceProblems(devs []devices.Info) []wire.StatusProblem {
	var list []wire.StatusProblem
	for _, d := range devs {
		if works(d.State) {
			if w := d.Warning(); w != nil {
				list = append(list, wire.StatusProblem{Code: "device_" + w.Code, Severity: "warning",
					Message: fmt.Sprintf("Device %s: %s.", d.Name, w.Message), Hint: w.Hint})
			}
			continue
		}
		p := wire.StatusProblem{Code: "device_" + string(d.State), Severity: "error",
			Message: fmt.Sprintf("Device %s is %s.", d.Name, d.State), Hint: "Check its power and its cable."}
		if d.LastError != nil {
			p.Message = fmt.Sprintf("Device %s is %s: %s.", d.Name, d.State, d.LastError.Message)
			if d.LastError.Hint != "" {
				p.Hint = d.LastError.Hint
			}
		}
		list = append(list, p)
	}
	return list
}

func (s *Server) healthz(context.Context, *nothing) (*answer[wire.Health], error) {
	return ok(wire.Health{OK: true, Version: s.cfg.Version}), nil
}

func (s *Server) readyz(ctx context.Context, _ *nothing) (*answer[wire.Health], error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := s.cfg.Ready(ctx); err != nil {
		r := explain(err)
		if r.status != http.StatusServiceUnavailable {
			r = refuse(http.StatusServiceUnavailable, "not_ready", "Sales cannot be accepted now.", "GET /v1/status names the problems.")
			r.cause = err
		}
		return nil, r
	}
	return ok(wire.Health{OK: true, Version: s.cfg.Version}), nil
}
