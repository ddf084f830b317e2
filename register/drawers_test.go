package register_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"storeagent/devices"
	"storeagent/devices/printer"
	"storeagent/internal/journal"
	"storeagent/register"
)

// drawers opens by the drawer's name, and writes down what was asked of it and of the audit, in order.
type drawers struct {
	mu   sync.Mutex
	log  []string
	full bool
}

func (d *drawers) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, line)
}

func (d *drawers) Open(_ context.Context, name string) (*bool, error) {
	d.note("open " + name)
	switch name {
	case "till":
		return new(true), nil
	case "plain":
		return nil, nil
	case "blocked":
		return nil, &printer.NotReadyError{Reason: printer.PaperOut, Err: errors.New("the drawer did not open: the paper is out")}
	case "dead":
		return nil, &printer.NotReadyError{Reason: printer.OfflineState, Err: errors.New("the drawer did not open: the printer can't be reached")}
	}
	return nil, register.ErrNoDevice
}

func (d *drawers) Add(_ context.Context, by journal.Actor, action, subject, note string) error {
	d.note("audit " + by.Name + " " + action + " " + subject + ": " + note)
	if d.full {
		return journal.ErrStorageFull
	}
	return nil
}

type named []string

func (n named) List() []devices.Info {
	var list []devices.Info
	for _, name := range n {
		list = append(list, devices.Info{Name: name, Category: devices.CashDrawer})
	}
	return list
}

func drawerServer(t *testing.T) (*drawers, *memory, *register.Server) {
	d, m := &drawers{}, newMemory()
	return d, m, newServer(t, m, func(c *register.Config) {
		c.Drawers, c.Audit, c.Devices = d, d, named{"till", "plain", "blocked", "dead"}
	})
}

func TestOpenDrawer(t *testing.T) {
	for _, tt := range []struct {
		name, body, code, log string
		status                int
	}{
		{"till", `{"reason": "no sale"}`, "", "audit p-register drawer.open till: no sale|open till", 200},
		{"plain", `{"reason": " count "}`, "", "audit p-register drawer.open plain: count|open plain", 200},
		{"blocked", `{"reason": "no sale"}`, "drawer_not_opened", "audit p-register drawer.open blocked: no sale|open blocked|audit p-register drawer.not_opened blocked: the drawer did not open: the paper is out", 409},
		{"dead", `{"reason": "no sale"}`, "device_offline", "audit p-register drawer.open dead: no sale|open dead|audit p-register drawer.not_opened dead: the drawer did not open: the printer can't be reached", 503},
		{"none", `{"reason": "no sale"}`, "not_found", "", 404},
		{"till", `{"reason": "  "}`, "validation_failed", "", 422},
		{"till", `{}`, "validation_failed", "", 422},
		{"till", `{"reason": "4111 1111 1111 1111"}`, "card_data_refused", "", 422},
	} {
		d, m, s := drawerServer(t)
		w := ask{method: "POST", path: "/v1/drawers/" + tt.name + "/open", token: registerToken, key: "k-1", body: tt.body}.do(t, s)
		if w.Code != tt.status || code(t, w) != tt.code || strings.Join(d.log, "|") != tt.log {
			t.Errorf("%s %s: %d %s, %q", tt.name, tt.body, w.Code, w.Body, d.log)
		}
		events, err := m.After(t.Context(), 0, []string{"drawer"}, 10)
		if err != nil || len(events) != map[bool]int{true: 1}[tt.status == 200] {
			t.Errorf("%s: events %v, %v", tt.name, events, err)
		}
		if tt.name == "till" && tt.status == 200 && !strings.Contains(w.Body.String(), `"drawerOpened":true`) || tt.name == "plain" && strings.Contains(w.Body.String(), "drawerOpened") {
			t.Errorf("%s: %s", tt.name, w.Body)
		}
	}
}

func TestOpenDrawerOnce(t *testing.T) {
	d, _, s := drawerServer(t)
	open := ask{method: "POST", path: "/v1/drawers/till/open", token: registerToken, body: `{"reason": "no sale"}`}
	if w := open.do(t, s); code(t, w) != "idempotency_key_required" {
		t.Errorf("without a key: %d %s", w.Code, w.Body)
	}
	open.key = "k-1"
	first, again := open.do(t, s), open.do(t, s)
	if first.Code != 200 || again.Body.String() != first.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("%d %s, then %d %s", first.Code, first.Body, again.Code, again.Body)
	}
	if want := []string{"audit p-register drawer.open till: no sale", "open till"}; !slices.Equal(d.log, want) {
		t.Errorf("%q", d.log)
	}
	open.token = observerToken
	if w := open.do(t, s); w.Code != 403 {
		t.Errorf("observer: %d %s", w.Code, w.Body)
	}
}

// TestOpenDrawerNeedsAudit: where the audit cannot be written, the drawer stays closed.
func TestOpenDrawerNeedsAudit(t *testing.T) {
	d, _, s := drawerServer(t)
	d.full = true
	w := ask{method: "POST", path: "/v1/drawers/till/open", token: registerToken, key: "k-1", body: `{"reason": "no sale"}`}.do(t, s)
	if w.Code != 503 || slices.Contains(d.log, "open till") {
		t.Errorf("%d %s, %q", w.Code, w.Body, d.log)
	}
}
