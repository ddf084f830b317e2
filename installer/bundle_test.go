package installer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHarmless(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a device", `{"name":"paper","state":"error","status":{"coverOpen":true,"text":"one-way"},"lastError":{"code":"in_use","message":"held"}}`,
			`{"lastError":{"code":"in_use","message":"held"},"name":"paper","state":"error","status":{"coverOpen":true,"text":"one-way"}}`},
		{"a scan", `{"scanner":"hand","data":"4006381333931","dataBase64":"NDAw","gtin":"04006381333931","kind":"item","item":{"sku":"PEN001","name":"Pen"}}`,
			`{"item":{"name":"Pen"},"kind":"item","scanner":"hand"}`},
		{"a gift card", `{"id":"1","code":"************0001","balance":"19.03","state":"completed"}`, `{"id":"1","state":"completed"}`},
		{"a payment", `{"amount":"5.97","last4":"1111","receipt":{"customer":["VISA"]},"prompt":"PIN?","approvalCode":"123"}`, `{"amount":"5.97","receipt":{"customer":[]}}`},
		{"a document", `{"document":[{"op":"text","text":"Dear Ms Miller"}],"copies":2}`, `{"copies":2,"document":[{}]}`},
		{"numbers as they are", `{"a":12345678901234567890,"b":1.50,"c":null}`, `{"a":12345678901234567890,"b":1.50}`},
		{"no JSON", `{"a":`, `null`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := json.Marshal(harmless([]byte(c.in)))
			if err != nil || string(got) != c.want {
				t.Errorf("got %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	line := strings.Repeat("x", 99) + "\n"
	if err := os.WriteFile(path, []byte("first\n"+strings.Repeat(line, logMax/100)+"last \xff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := tail(path)
	if err != nil || len(got) > logMax || !strings.HasPrefix(got, line) || !strings.HasSuffix(got, line+"last ?\n") {
		t.Errorf("%d bytes from %.20q to %q, %v", len(got), got, got[max(0, len(got)-20):], err)
	}
}

func TestTree(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.db", "backups/b.db", "deep/er/still/c"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := tree(dir)
	if err != nil || !strings.Contains(got, " 5 ") || !strings.Contains(got, filepath.Join("backups", "b.db")) || !strings.Contains(got, filepath.Join("deep", "er")) || strings.Contains(got, "still") {
		t.Errorf("%v\n%s", err, got)
	}
	if _, err := tree(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a folder that is missing is listed")
	}
}
