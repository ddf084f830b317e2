package register_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/register"
	"storeagent/register/wire"
)

// keeper stands in for what looks after the queue as a whole.
type keeper struct {
	list     []offline.Exported
	broken   int // where not 0, the export fails after so many
	exported bool
	move     wire.MoveRequest
	parts    []offline.MovePart
	err      error
	noted    string
	schema   []string
}

func (k *keeper) Export(_ context.Context, _ journal.Actor, each func(offline.Exported) error) error {
	for i, x := range k.list {
		if k.broken > 0 && i == k.broken {
			return errors.New("disk")
		}
		if err := each(x); err != nil {
			return err
		}
	}
	k.exported = true
	return k.err
}

func (k *keeper) MoveOut(_ context.Context, passphrase, note string, _ journal.Actor) (offline.Move, error) {
	k.move = wire.MoveRequest{Passphrase: passphrase, Note: note}
	return offline.Move{ID: "m-1", Operations: 2}, k.err
}

func (k *keeper) MoveFile(_ context.Context, id string) ([]byte, error) {
	if id != "m-1" {
		return nil, journal.ErrNotFound
	}
	return []byte("head\npart\n"), nil
}

func (k *keeper) MoveIn(_ context.Context, p offline.MovePart, _ journal.Actor) (offline.MovedIn, error) {
	k.parts = append(k.parts, p)
	return offline.MovedIn{Taken: 1}, k.err
}

func (k *keeper) Leaving(context.Context) (offline.Exposure, bool, error) {
	return offline.Exposure{Count: len(k.list), Amount: "12.50"}, k.exported, k.err
}

func (k *keeper) Attempts() map[string]int { return map[string]int{"delivered": 7, "doubt": 1} }

func (k *keeper) NoteFindings(_ context.Context, by journal.Actor, note string) error {
	k.noted = by.Name + ": " + note
	return k.err
}

func (k *keeper) CheckSchema(context.Context) ([]string, error) { return k.schema, k.err }

func (k *keeper) SchemaNotes(context.Context) []string { return []string{"No query for purchases."} }

// keeping makes a server over a keeper.
func keeping(t *testing.T, k *keeper) *register.Server {
	t.Helper()
	return newServer(t, newMemory(), func(c *register.Config) {
		c.Upkeep, c.Findings, c.Schema = k, k, k
		at := time.Now().Add(-time.Hour)
		c.Status = func() register.Extra {
			return register.Extra{FreeBytes: 1 << 30, Backup: wire.Backup{At: &at, Bytes: 9}}
		}
	})
}

func someExport(ids ...string) []offline.Exported {
	var list []offline.Exported
	for _, id := range ids {
		list = append(list, offline.Exported{Item: offline.Item{ID: id, Amount: "5.00"}, Sale: json.RawMessage(`{"transactionId":"` + id + `"}`)})
	}
	return list
}

func TestSignOutIsRefusedWhileSomethingIsUndelivered(t *testing.T) {
	k := &keeper{list: someExport("a", "b")}
	s := keeping(t, k)
	leave := func(query string) (int, wire.Problem) {
		t.Helper()
		w := ask{method: "DELETE", path: "/v1/sign-in" + query, token: technicianToken}.do(t, s)
		var p wire.Problem
		if w.Code != http.StatusNoContent {
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
		}
		return w.Code, p
	}
	for _, query := range []string{"", "?force=false", "?force=true"} { // forced too, as nobody has a copy
		status, p := leave(query)
		if status != 409 || p.Code != "undelivered" || p.Undelivered == nil || p.Undelivered.Count != 2 || p.Undelivered.Amount != "12.50" ||
			!strings.Contains(p.Detail, "2 operations over 12.50 USD") || !strings.Contains(p.Hint, "export") {
			t.Errorf("%q: %d %+v", query, status, p)
		}
	}
	if w := (ask{method: "GET", path: "/v1/queue/export", token: technicianToken}).do(t, s); w.Code != 200 {
		t.Fatalf("export: %d %s", w.Code, w.Body)
	}
	if status, p := leave(""); status != 409 {
		t.Errorf("after an export, unforced: %d %+v", status, p)
	}
	if status, p := leave("?force=true"); status != 204 {
		t.Errorf("forced after an export: %d %+v", status, p)
	}
	k.list, k.exported = nil, false
	if status, p := leave(""); status != 204 {
		t.Errorf("nothing undelivered: %d %+v", status, p)
	}
}

func TestExportIsWholeOrBroken(t *testing.T) {
	k := &keeper{list: someExport("a", "b", "c")}
	s := keeping(t, k)
	w := ask{method: "GET", path: "/v1/queue/export", token: technicianToken}.do(t, s)
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson" || len(lines) != 3 {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for i, line := range lines {
		var x offline.Exported
		if err := json.Unmarshal([]byte(line), &x); err != nil || x.ID != k.list[i].ID || string(x.Sale) != string(k.list[i].Sale) {
			t.Errorf("line %d: %s, %v", i, line, err)
		}
	}
	k.list = nil
	if w := (ask{method: "GET", path: "/v1/queue/export", token: technicianToken}).do(t, s); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("empty export: %d %q", w.Code, w.Body)
	}
	k.err = journal.ErrStorageFull
	if w := (ask{method: "GET", path: "/v1/queue/export", token: technicianToken}).do(t, s); w.Code != 503 || code(t, w) != "storage_full" {
		t.Errorf("export that cannot begin: %d %s", w.Code, w.Body)
	}
	k.list, k.err, k.broken = someExport("a", "b", "c"), nil, 2
	defer func() {
		if p, is := recover().(error); !is || !errors.Is(p, http.ErrAbortHandler) {
			t.Errorf("an export that breaks ends with %v, want the connection to be cut", p)
		}
	}()
	ask{method: "GET", path: "/v1/queue/export", token: technicianToken}.do(t, s)
}

func TestMovingAndImporting(t *testing.T) {
	k := &keeper{}
	s := keeping(t, k)
	do := func(method, path, body string) (int, string, string) {
		t.Helper()
		w := ask{method: method, path: path, body: body, token: technicianToken}.do(t, s)
		c := ""
		if w.Code >= 400 {
			c = code(t, w)
		}
		return w.Code, c, w.Body.String()
	}
	if status, c, _ := do("POST", "/v1/queue/move", `{"passphrase":"short","note":"x"}`); status != 422 || c != "validation_failed" {
		t.Errorf("short passphrase: %d %s", status, c)
	}
	status, _, body := do("POST", "/v1/queue/move", `{"passphrase":"correct horse battery","note":"new box"}`)
	if status != 201 || !strings.Contains(body, `"m-1"`) || strings.Contains(body, "horse") || k.move.Note != "new box" {
		t.Errorf("move: %d %s", status, body)
	}
	if status, _, body := do("GET", "/v1/queue/moves/m-1", ""); status != 200 || body != "head\npart\n" {
		t.Errorf("file: %d %q", status, body)
	}
	if status, c, _ := do("GET", "/v1/queue/moves/m-2", ""); status != 404 || c != "not_found" {
		t.Errorf("no such move: %d %s", status, c)
	}
	big := strings.Repeat("A", 2<<20) // over the usual limit
	status, _, body = do("POST", "/v1/queue/import", `{"head":"h","part":"`+big+`","index":3,"last":true,"passphrase":"p"}`)
	if want := (offline.MovePart{Head: "h", Part: big, Index: 3, Last: true, Passphrase: "p"}); status != 200 || len(k.parts) != 1 || k.parts[0] != want {
		t.Errorf("import: %d %s", status, body)
	}
	for err, want := range map[error]string{
		offline.ErrPassphrase: "wrong_passphrase", offline.ErrMoveFile: "not_a_moved_queue", offline.ErrNothing: "nothing_to_move",
	} {
		k.err = err
		if _, c, _ := do("POST", "/v1/queue/import", `{"head":"h","part":"p","index":0,"last":true,"passphrase":"p"}`); c != want {
			t.Errorf("%v is answered by %s, want %s", err, c, want)
		}
	}
}

func TestFindingsSchemaAndMetrics(t *testing.T) {
	k := &keeper{schema: []string{"The cloud does not know the field add.email."}}
	s := keeping(t, k)
	w := ask{method: "POST", path: "/v1/queue/findings/ack", body: `{"note":"looked at all of them"}`, token: technicianToken}.do(t, s)
	if w.Code != 204 || !strings.HasSuffix(k.noted, ": looked at all of them") {
		t.Errorf("ack: %d %s, noted %q", w.Code, w.Body, k.noted)
	}
	w = ask{method: "POST", path: "/v1/schema/check", token: technicianToken}.do(t, s)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"ok":false`) || !strings.Contains(w.Body.String(), "add.email") ||
		!strings.Contains(w.Body.String(), `"notes":["No query for purchases."]`) {
		t.Errorf("schema check: %d %s", w.Code, w.Body)
	}
	k.err = errors.New("away")
	if w := (ask{method: "POST", path: "/v1/schema/check", token: technicianToken}).do(t, s); w.Code != 503 || code(t, w) != "schema_unknown" {
		t.Errorf("schema check without a cloud: %d %s", w.Code, w.Body)
	}
	text := ask{method: "GET", path: "/metrics", token: technicianToken}.do(t, s).Body.String()
	for _, want := range []string{
		`storeagent_queue_attempts_total{class="delivered"} 7`, `storeagent_queue_attempts_total{class="doubt"} 1`,
		"storeagent_queue_undelivered_operations ", "storeagent_queue_moved_operations ", "storeagent_queue_oldest_queued_seconds ",
		"storeagent_backup_age_seconds 36", "storeagent_backup_failed 0", "storeagent_disk_free_bytes 1.07",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	status := ask{method: "GET", path: "/v1/status", token: technicianToken}.do(t, s).Body.String()
	if !strings.Contains(status, `"backup":{"at":"`) || !strings.Contains(status, `"bytes":9`) {
		t.Errorf("status %s", status)
	}
}
