package redact

import (
	"strings"
	"testing"

	"storeagent/internal/carddata"
)

func TestText(t *testing.T) {
	r := New([]string{"hunter2-terminal", "000000", `a"b<c&d`, "abc"}, []string{"600649", ""})
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "printer paper is ready, 42 columns", "printer paper is ready, 42 columns"},
		{"ids stay", "sale 019ab2c4-7f00-7abc-8def-0123456789ab of 5.97", "sale 019ab2c4-7f00-7abc-8def-0123456789ab of 5.97"},
		{"times stay", "at=2026-11-22T01:10:02.113Z ms=1763773512345", "at=2026-11-22T01:10:02.113Z ms=1763773512345"},
		{"paths stay", "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A6008isP-if00-port0", "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A6008isP-if00-port0"},
		{"codes of errors stay", `{"code":"storage_full","httpStatus":503} code=HTTP_503`, `{"code":"storage_full","httpStatus":503} code=HTTP_503`},
		{"references stay", `password = "file:/etc/storeagent/zvt" secret=env:HOOK`, `password = "file:/etc/storeagent/zvt" secret=env:HOOK`},
		{"metrics stay", `storeagent_token_refreshes_total{result="ok"} 5`, `storeagent_token_refreshes_total{result="ok"} 5`},
		{"words stay", "shipping: tomorrow; spinning = fast; basic functions", "shipping: tomorrow; spinning = fast; basic functions"},
		{"masked stays", `"code":"************0001"`, `"code":"************0001"`},
		{"null stays", `{"token":null,"pin":null}`, `{"token":null,"pin":null}`},

		{"known", "sent hunter2-terminal to it", "sent [removed] to it"},
		{"known in JSON", `{"x":"a\"b\u003cc\u0026d"}`, `{"x":"[removed]"}`},
		{"known in an address", "https://h.example/?x=a%22b%3Cc%26d&y=1", "https://h.example/?x=[removed]&y=1"},
		{"known in Base64", "aHVudGVyMi10ZXJtaW5hbA== aHVudGVyMi10ZXJtaW5hbA", "[removed] [removed]"},
		{"known as a part", "1000000 and 000000", "1000000 and [removed]"},
		{"known after an escape", `line\n000000`, `line\n[removed]`},
		{"too short to be known", "abc", "abc"},

		{"card", "pan 4111111111111111 seen", "pan [removed] seen"},
		{"card in groups", "4111 1111-1111 1111", "[removed]"},
		{"track", "x;4111111111111111=2512101?y", "x[removed]y"},
		{"gift card", "card 6006491000000001, 6006 4910 0000 0001", "card [removed], [removed]"},
		{"gift card code by name", `{"code":"GC-1234-ABCD-99"}`, `{"code":"[removed]"}`},
		{"pin in JSON", `{"pin":"83519274","x":1}`, `{"pin":"[removed]","x":1}`},
		{"pin as a number", `{"pin":83519274, \"pin\": 8351}`, `{"pin":"[removed]", \"pin\": \"[removed]\"}`},
		{"pin in JSON in a log", `body="{\"pin\":\"83519274\",\"x\":1}"`, `body="{\"pin\":\"[removed]\",\"x\":1}"`},
		{"pin in words", "the PIN is 8351, PIN: 8352, pin 8353, physicalPin=8354", "the PIN is [removed], PIN: [removed], pin [removed], physicalPin=[removed]"},
		{"password", "user=x password=tops3cret next=1", "user=x password=[removed] next=1"},
		{"password in quotes", `db_password: "top secret" next`, `db_password: "[removed]" next`},
		{"passphrase of words", "passphrase: correct horse battery\nnext", "passphrase: [removed]\nnext"},
		{"user code", "open ?user_code=WDJB-MJHT now", "open ?user_code=[removed] now"},
		{"tokens", "sa_abcdefghijklmnopqrstuvwxyz0123456789_-ABCDE and access_token=xyz", "[removed] and access_token=[removed]"},
		{"bearer", "Authorization: Bearer abc.def-ghi", "Authorization: [removed] [removed]"},
		{"bearer alone", "sent Bearer abcdef-ghi", "sent Bearer [removed]"},
		{"basic", "sent Basic dXNlcjpwYXNz0=", "sent Basic [removed]"},
		{"web token", "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl there", "got [removed] there"},
		{"user info", "https://user:pass@pos.example.com/x", "https://[removed]@pos.example.com/x"},
		{"private key", "a -----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY----- b", "a [removed] b"},
		{"value in the next line", "password:\n  tops3cret\nnext", "password:\n  [removed]\nnext"},
		{"private key cut off", "a -----BEGIN PRIVATE KEY-----\nMHcCAQEE", "a [removed]"},
		{"random in Base64", "key dGhpcyBpcyBhIHNlY3JldCB0aGF0IG5vYm9keSBrbm93cyAx==, then", "key [removed], then"},
		{"long words stay", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ 0000000000000000000000000000000000000000000000", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ 0000000000000000000000000000000000000000000000"},
		{"random", "key 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "key [removed]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := r.Text(c.in)
			if got != c.want {
				t.Errorf("%q\n  is %q\nwant %q", c.in, got, c.want)
			}
			if again := r.Text(got); again != got {
				t.Errorf("a second time changes %q to %q", got, again)
			}
		})
	}
}

// FuzzText hides secrets in arbitrary text: whatever stands around them, they are gone afterwards.
func FuzzText(f *testing.F) {
	f.Add("at 12:00 ", ", retrying")
	f.Add(`{"a":"`, `"}`)
	f.Add("pin=", "\n4111")
	f.Add("-----BEGIN PRIVATE KEY-----", "\\")
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret, token = "hunter2-terminal", "sa_abcdefghijklmnopqrstuvwxyz0123456789_-ABCDE"
		r := New([]string{secret}, []string{"600649"})
		got := r.Text(before + " " + secret + " " + token + " (4111111111111111) " + after)
		if strings.Contains(got, secret) || strings.Contains(got, token) {
			t.Errorf("a secret is left: %q", got)
		}
		if start, end, found := carddata.FindCard(got); found {
			t.Errorf("a card number is left: %q", got[start:end])
		}
	})
}
