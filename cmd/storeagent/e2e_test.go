package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"storeagent/offline"
	"storeagent/register/wire"
)

// TestDemoDay plays the demo: nothing lost, nothing doubled, in a day with an outage and a kill in it.
func TestDemoDay(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := &day{out: io.Discard}
	if d.shop, err = openShop(t.Context(), t.TempDir(), []string{program}, ownPort, d.terminalStep); err != nil {
		t.Fatal(err)
	}
	defer d.shop.close()
	if err := d.play(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, d.shop.log())
	}
	got, err := d.count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The sale that was on its way when the line died ran once and was settled by a person.
	want := tally{SalesAccepted: 10, Delivered: 10, ReceiptsPrinted: 9, PaymentsApproved: 5}
	if got != want {
		t.Errorf("the day ended %+v, want %+v", got, want)
	}
}

// TestDemoJSON holds the line that other programs read.
func TestDemoJSON(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "demo", "--json")
	cmd.Env = append(os.Environ(), "STOREAGENT_AS_PROGRAM=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("demo --json: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	var got map[string]int
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatalf("the last line is not the contract's object: %v\n%s", err, out)
	}
	want := map[string]int{
		"salesAccepted": 10, "delivered": 10, "duplicates": 0, "lost": 0, "parked": 0, "receiptsPrinted": 9, "paymentsApproved": 5,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// postRaw posts bytes as they are, as register software does.
func (ts *testShop) postRaw(path, key string, body []byte) *http.Response {
	ts.tb.Helper()
	req, err := http.NewRequestWithContext(ts.ctx, http.MethodPost, ts.shop.url()+path, bytes.NewReader(body))
	ts.must(err)
	req.Header.Set("Authorization", "Bearer "+ts.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	ts.must(err)
	ts.tb.Cleanup(func() { resp.Body.Close() })
	return resp
}

// jsonValue reads JSON with numbers as they are spelled.
func jsonValue(t *testing.T, data []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return v
}

// TestVendorPurchasesArriveValueForValue posts the vendor's documented purchases and finds every field, null and text
// of them in the cloud's ledger, and nothing else.
func TestVendorPurchasesArriveValueForValue(t *testing.T) {
	t.Parallel()
	ts := openOnlineShop(t, nil)
	for i, name := range []string{"minimal", "complete", "refund"} {
		posted, err := os.ReadFile(filepath.Join("..", "..", "testdata", "sales", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		resp := ts.postRaw("/v1/sales", "vendor-"+name, posted)
		if resp.StatusCode != http.StatusCreated {
			body, _ := io.ReadAll(resp.Body)
			t.Fatalf("%s: %s %s", name, resp.Status, body)
		}
		var accepted wire.SaleAccepted
		if err := json.NewDecoder(resp.Body).Decode(&accepted); err != nil {
			t.Fatal(err)
		}
		done := ts.saleState(accepted.ID, offline.Delivered)
		ledger := ts.shop.cloud.Ledger()
		if len(ledger) != i+1 {
			t.Fatalf("%s: the ledger has %d purchases, want %d", name, len(ledger), i+1)
		}
		arrived, err := json.Marshal(ledger[i].Input)
		if err != nil {
			t.Fatal(err)
		}
		if want, got := jsonValue(t, posted), jsonValue(t, arrived); !reflect.DeepEqual(got, want) {
			t.Errorf("%s arrived changed:\nposted  %v\narrived %v", name, want, got)
		}
		if done.CloudID != ledger[i].ID {
			t.Errorf("%s: cloudId %q, the ledger says %q", name, done.CloudID, ledger[i].ID)
		}
	}
}

// TestRepeatAfterPowerCut repeats a call across a kill and gets the first answer, word for word.
func TestRepeatAfterPowerCut(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	body, err := json.Marshal(cashSale("R1", "1.99"))
	if err != nil {
		t.Fatal(err)
	}
	first := ts.postRaw("/v1/sales", "repeat-1", body)
	firstBody, err := io.ReadAll(first.Body)
	ts.must(err)
	ts.restart()
	again := ts.postRaw("/v1/sales", "repeat-1", body)
	againBody, err := io.ReadAll(again.Body)
	ts.must(err)
	if first.StatusCode != 201 || again.StatusCode != 201 || !bytes.Equal(firstBody, againBody) {
		t.Errorf("first %d %s, again %d %s", first.StatusCode, firstBody, again.StatusCode, againBody)
	}
	if first.Header.Get("Idempotent-Replayed") != "" || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("Idempotent-Replayed: first %q, again %q", first.Header.Get("Idempotent-Replayed"), again.Header.Get("Idempotent-Replayed"))
	}
	other := ts.postRaw("/v1/sales", "repeat-1", bytes.Replace(body, []byte("R1"), []byte("R2"), 1))
	if other.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("another sale under the same key: %s", other.Status)
	}
}
