package register_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices/scanner"
	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/register"
)

// cardDesk is the gift card side of a memory.
type cardDesk struct {
	*memory

	cards sync.Mutex
	list  []offline.GiftcardView
	codes []string // as they came, with their PINs
	fail  error
}

func (d *cardDesk) note(c offline.CardRef) error {
	d.cards.Lock()
	defer d.cards.Unlock()
	d.codes = append(d.codes, c.Code+"/"+c.PIN)
	return d.fail
}

func (d *cardDesk) Lookup(_ context.Context, c offline.CardRef) (offline.CardBalance, error) {
	if err := d.note(c); err != nil {
		return offline.CardBalance{}, err
	}
	return offline.CardBalance{GiftcardID: "30004", Balance: "25.00", Source: "cloud", Codes: []offline.CardCode{{Code: offline.MaskCode(c.Code)}}}, nil
}

func (d *cardDesk) Transact(_ context.Context, r offline.CardRequest, _ journal.Actor, entry func(offline.GiftcardView) journal.Entry) (offline.GiftcardView, error) {
	if err := d.note(r.CardRef); err != nil {
		return offline.GiftcardView{}, err
	}
	d.cards.Lock()
	defer d.cards.Unlock()
	v := offline.GiftcardView{ID: fmt.Sprintf("gt-%d", len(d.list)+1), State: offline.CardQueued, TransType: r.TransType, Mode: r.Mode,
		Amount: r.Amount.String(), Code: offline.MaskCode(r.Code), Reference: r.Reference}
	d.mu.Lock()
	err := d.commit(entry(v))
	d.mu.Unlock()
	if err != nil {
		return v, err
	}
	v.State = offline.CardAuthorized
	d.list = append(d.list, v)
	return v, nil
}

func (d *cardDesk) Transaction(_ context.Context, id string) (offline.GiftcardView, error) {
	d.cards.Lock()
	defer d.cards.Unlock()
	for _, v := range d.list {
		if v.ID == id {
			return v, nil
		}
	}
	return offline.GiftcardView{}, journal.ErrNotFound
}

func (d *cardDesk) become(id string, state offline.GiftcardState, entry func(offline.GiftcardView) journal.Entry) (offline.GiftcardView, error) {
	d.cards.Lock()
	defer d.cards.Unlock()
	if d.fail != nil {
		return offline.GiftcardView{}, d.fail
	}
	for i := range d.list {
		if v := &d.list[i]; v.ID == id {
			if v.State != offline.CardAuthorized {
				return *v, offline.ErrState
			}
			d.mu.Lock()
			err := d.commit(entry(*v))
			d.mu.Unlock()
			v.State = state
			return *v, err
		}
	}
	return offline.GiftcardView{}, journal.ErrNotFound
}

func (d *cardDesk) Capture(_ context.Context, id, _ string, entry func(offline.GiftcardView) journal.Entry) (offline.GiftcardView, error) {
	return d.become(id, offline.CardCompleted, entry)
}

func (d *cardDesk) Cancel(_ context.Context, id string, entry func(offline.GiftcardView) journal.Entry) (offline.GiftcardView, error) {
	return d.become(id, offline.CardCanceled, entry)
}

func (d *cardDesk) Issue(_ context.Context, c offline.CardRef) (offline.CardBalance, error) {
	if err := d.note(c); err != nil {
		return offline.CardBalance{}, err
	}
	return offline.CardBalance{GiftcardID: "30009", Balance: "0.00", Codes: []offline.CardCode{{Code: offline.MaskCode(c.Code)}}}, nil
}

func (d *cardDesk) Blind(_ context.Context, text []byte) ([32]byte, error) {
	return sha256.Sum256(append([]byte("blind"), text...)), nil
}

func cardServer(t testing.TB) (*register.Server, *cardDesk) {
	d := &cardDesk{memory: newMemory()}
	return newServer(t, d.memory, func(c *register.Config) { c.Giftcards = d }), d
}

const (
	giftCode = "6006491234567890"
	useBody  = `{"transType":"USE","code":"6006491234567890","codeType":"PHYSICAL","pin":"8351","amount":"6.49","mode":"authorize","reference":"slip 7"}`
)

func TestGiftcardCalls(t *testing.T) {
	s, d := cardServer(t)
	w := ask{method: "POST", path: "/v1/giftcards/lookup", token: registerToken, body: `{"code":"6006491234567890"}`}.do(t, s)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"balance":"25.00"`) || strings.Contains(w.Body.String(), giftCode) {
		t.Errorf("lookup: %d %s", w.Code, w.Body)
	}
	call := ask{method: "POST", path: "/v1/giftcards/transactions", token: registerToken, key: "k1", body: useBody}
	w = call.do(t, s)
	if w.Code != 201 || w.Header().Get("Location") != "/v1/giftcards/transactions/gt-1" || !strings.Contains(w.Body.String(), `"authorized"`) {
		t.Fatalf("use: %d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, secret := range []string{giftCode, "8351"} {
		if strings.Contains(words(w), secret) {
			t.Errorf("answer holds %s: %s", secret, w.Body)
		}
	}
	if got := d.codes[len(d.codes)-1]; got != giftCode+"/8351" {
		t.Errorf("the desk heard %q", got)
	}
	again := call.do(t, s)
	if again.Code != 201 || again.Header().Get("Idempotent-Replayed") != "true" || again.Body.String() != w.Body.String() || len(d.list) != 1 {
		t.Errorf("repeat: %d %v %s", again.Code, again.Header(), again.Body)
	}
	plain := sha256.Sum256([]byte("POST\n/v1/giftcards/transactions\n" + useBody))
	if d.answers[[2]string{"p-register", "k1"}].Fingerprint == plain {
		t.Error("the fingerprint is a plain hash of code and PIN")
	}
	other := call
	other.body = strings.Replace(useBody, "8351", "8352", 1)
	if w := other.do(t, s); w.Code != 422 || code(t, w) != "idempotency_key_reused" {
		t.Errorf("same key, other PIN: %d %s", w.Code, w.Body)
	}
	if w := (ask{method: "GET", path: "/v1/giftcards/transactions/gt-1", token: registerToken}).do(t, s); w.Code != 200 {
		t.Errorf("get: %d %s", w.Code, w.Body)
	}
	captured := ask{method: "POST", path: "/v1/giftcards/transactions/gt-1/capture", token: registerToken, key: "k2", body: `{"amount":"6.00"}`}
	if w := captured.do(t, s); w.Code != 200 || !strings.Contains(w.Body.String(), `"completed"`) {
		t.Errorf("capture: %d %s", w.Code, w.Body)
	}
	if w := call.do(t, s); !strings.Contains(w.Body.String(), `"completed"`) {
		t.Errorf("a repeat shows how it stands now: %s", w.Body)
	}
	if w := captured.do(t, s); w.Code != 200 || w.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("capture repeated: %d", w.Code)
	}
	if w := (ask{method: "POST", path: "/v1/giftcards/transactions/gt-1/cancel", token: registerToken, key: "k3"}).do(t, s); w.Code != 409 || code(t, w) != "wrong_state" {
		t.Errorf("cancel: %d %s", w.Code, w.Body)
	}
	issued := ask{method: "POST", path: "/v1/giftcards", token: registerToken, key: "k4", body: `{"physicalCode":"6006490001","physicalPin":"12"}`}
	if w := issued.do(t, s); w.Code != 201 || strings.Contains(w.Body.String(), "6006490001") {
		t.Errorf("issue: %d %s", w.Code, w.Body)
	}
	n := len(d.codes)
	if w := issued.do(t, s); w.Code != 201 || len(d.codes) != n {
		t.Errorf("issue repeated: %d", w.Code)
	}
}

func TestGiftcardRefusals(t *testing.T) {
	s, d := cardServer(t)
	post := func(path, body string) ask {
		return ask{method: "POST", path: path, token: registerToken, key: "k", body: body}
	}
	const tx, lookup = "/v1/giftcards/transactions", "/v1/giftcards/lookup"
	for _, tc := range []struct {
		name, path, body string
		status           int
		code             string
	}{
		{"a payment card", lookup, `{"code":"4111111111111111"}`, 422, "card_data_refused"},
		{"a payment card as reference", tx, strings.Replace(useBody, "slip 7", "4111 1111 1111 1111", 1), 422, "card_data_refused"},
		{"a card field", tx, strings.Replace(useBody, `"reference"`, `"cvv"`, 1), 422, "card_data_refused"},
		{"an object as code", lookup, `{"code":{"cvv":"1"}}`, 422, "card_data_refused"},
		{"no code", lookup, `{}`, 422, "validation_failed"},
		{"both", lookup, `{"code":"6006491","codeRef":"x"}`, 422, "validation_failed"},
		{"unknown reference", lookup, `{"codeRef":"cr_x"}`, 422, "code_ref_unknown"},
		{"spaces", lookup, `{"code":" 6006491"}`, 422, "validation_failed"},
		{"control characters", lookup, `{"code":"600\u00076491"}`, 422, "validation_failed"},
		{"no sign here", tx, strings.Replace(useBody, "6.49", "-6.49", 1), 422, "validation_failed"},
		{"a number", tx, strings.Replace(useBody, `"6.49"`, `6.49`, 1), 422, "validation_failed"},
		{"other type", tx, strings.Replace(useBody, "USE", "ADJUST", 1), 422, "validation_failed"},
		{"other mode", tx, strings.Replace(useBody, `"authorize"`, `"later"`, 1), 422, "validation_failed"},
		{"unknown field", tx, strings.Replace(useBody, `"reference"`, `"note"`, 1), 422, "unknown_field"},
		{"pin in a capture", tx + "/gt-1/capture", `{"pin":"1"}`, 422, "card_data_refused"},
		{"pin in a payment", "/v1/payments", `{"type":"sale","amount":"1.00","pin":"1"}`, 422, "card_data_refused"},
	} {
		if w := post(tc.path, tc.body).do(t, s); w.Code != tc.status || code(t, w) != tc.code || strings.Contains(words(w), "8351") || strings.Contains(words(w), "411111") {
			t.Errorf("%s: %d %s", tc.name, w.Code, w.Body)
		}
	}
	if len(d.codes) != 0 {
		t.Errorf("the desk heard of %q", d.codes)
	}
	for err, want := range map[error]string{
		&offline.OfflineError{Rule: "balance", Detail: "The card has too little"}: "409 offline_not_allowed",
		offline.ErrAmbiguousCode:                     "409 ambiguous_code",
		offline.ErrNoSuchCard:                        "404 giftcard_not_found",
		offline.ErrCardsHidden:                       "409 permission_missing",
		fmt.Errorf("look: %w", offline.ErrCloudAway): "503 cloud_unavailable",
		offline.ErrCardExists:                        "409 giftcard_exists",
		offline.ErrCardInDoubt:                       "409 giftcard_in_doubt",
		&offline.CloudError{Fault: offline.Fault{Code: "X", Message: "no"}}: "422 cloud_refused",
		journal.ErrStorageFull: "503 storage_full",
	} {
		d.fail = err
		for _, path := range []string{lookup, tx} {
			body := useBody
			if path == lookup {
				body = `{"code":"6006491"}`
			}
			w := post(path, body).do(t, s)
			if got := fmt.Sprintf("%d %s", w.Code, code(t, w)); got != want {
				t.Errorf("%v: %s, want %s", err, got, want)
			}
			if strings.HasPrefix(want, "409 offline") && !strings.Contains(w.Body.String(), `"rule":"balance"`) {
				t.Errorf("no rule: %s", w.Body)
			}
		}
	}
	d.fail = nil
	for _, want := range []string{`storeagent_giftcard_transactions_total{outcome="balance",type="USE"} 1`} {
		if w := (ask{method: "GET", path: "/metrics", token: technicianToken}).do(t, s); !strings.Contains(w.Body.String(), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if w := (ask{method: "POST", path: tx, token: registerToken, body: useBody}).do(t, s); w.Code != 400 || code(t, w) != "idempotency_key_required" {
		t.Errorf("no key: %d %s", w.Code, w.Body)
	}
	none := newServer(t, newMemory())
	if w := post(tx, useBody).do(t, none); w.Code != 503 || code(t, w) != "giftcards_unavailable" {
		t.Errorf("an agent without gift cards: %d %s", w.Code, w.Body)
	}
}

// TestCodeRefStandsForTheCode scans a gift card and uses it without the register ever seeing its code.
func TestCodeRefStandsForTheCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := cardServer(t)
		ref := func() string {
			t.Helper()
			if err := s.Scanned(t.Context(), scanner.Scan{Scanner: "gun", Symbology: "code128", Data: []byte(giftCode), At: time.Now()}); err != nil {
				t.Fatal(err)
			}
			event := d.log[len(d.log)-1]
			if strings.Contains(string(event.Data), giftCode) {
				t.Errorf("event holds the code: %s", event.Data)
			}
			var data struct{ CodeRef, Kind string }
			if err := json.Unmarshal(event.Data, &data); err != nil || data.Kind != "giftcard" || data.CodeRef == "" {
				t.Fatalf("%s %v", event.Data, err)
			}
			return data.CodeRef
		}
		lookup := func(ref string) (int, string) {
			w := ask{method: "POST", path: "/v1/giftcards/lookup", token: registerToken, body: fmt.Sprintf(`{"codeRef":%q}`, ref)}.do(t, s)
			return w.Code, w.Body.String()
		}
		first := ref()
		if status, text := lookup(first); status != 200 || d.codes[0] != giftCode+"/" {
			t.Errorf("%d %s, heard %q", status, text, d.codes)
		}
		time.Sleep(10*time.Minute - time.Second) // fake
		if status, text := lookup(first); status != 200 {
			t.Errorf("just before ten minutes: %d %s", status, text)
		}
		second := ref()
		if second == first {
			t.Error("references repeat")
		}
		time.Sleep(time.Second) // fake
		if status, _ := lookup(first); status != 422 {
			t.Errorf("after ten minutes: %d", status)
		}
		for range 1000 {
			ref()
		}
		if status, _ := lookup(second); status != 422 {
			t.Errorf("more than a thousand are kept: %d", status)
		}
	})
}
