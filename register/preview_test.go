package register_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"storeagent/register"
)

func previewOf(t *testing.T, s *register.Server, accept, body string) *httptest.ResponseRecorder {
	t.Helper()
	a := ask{method: "POST", path: "/v1/receipts/preview", token: registerToken, body: body, header: map[string]string{}}
	if accept != "" {
		a.header["Accept"] = accept
	}
	return a.do(t, s)
}

func TestPreviewMedia(t *testing.T) {
	s := newServer(t, newMemory())
	const body = `{"document":[{"op":"text","text":"Hello","align":"right"},{"op":"rule"}],"columns":20}`
	const text, pic, vector, none = "text/plain; charset=utf-8", "image/png", "image/svg+xml", "application/problem+json"
	for accept, want := range map[string]string{
		"": text, "text/plain": text, "*/*": text, "text/*;q=0.5": text, "image/png, text/plain": text, "Text/Plain; charset=utf-8": text,
		"image/png": pic, "image/*": pic, "text/plain;q=0.4, image/png;q=0.5": pic, "text/*;q=0, */*;q=0.1": pic, "text/plain;q=0.9, image/png": pic,
		"image/svg+xml": vector, "image/svg+xml, image/png;q=0.9": vector, "image/*, image/png;q=0.2": vector, "image/avif, image/svg+xml, */*;q=0.1": vector,
		"text/plain;q=0": none, "text/html": none, "application/json, image/webp": none, "image/png;q=2": none, "image/png;q=x": none, "png": none,
	} {
		w := previewOf(t, s, accept, body)
		if got := w.Header().Get("Content-Type"); got != want || (w.Code != 200) != (want == none) {
			t.Errorf("Accept %q: %d %s", accept, w.Code, got)
		}
		switch want {
		case text:
			if w.Body.String() != "               Hello\n--------------------\n" {
				t.Errorf("%q", w.Body)
			}
		case pic:
			if img, err := png.Decode(w.Body); err != nil || img.Bounds().Dx() != 240 || img.Bounds().Dy() != 60 {
				t.Errorf("%v", err)
			}
		case vector:
			if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
				t.Error("an SVG without a policy")
			}
			for dec := xml.NewDecoder(w.Body); ; {
				if _, err := dec.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
		case none:
			if code(t, w) != "not_acceptable" || !strings.Contains(w.Body.String(), "Accept: image/png") {
				t.Errorf("%s", w.Body)
			}
		}
	}
}

// A repeat is the same picture, not a JSON answer that lost its blanks.
func TestPreviewRepeatedUnderItsKey(t *testing.T) {
	s := newServer(t, newMemory())
	const body = `{"document":[{"op":"text","text":"Hello","align":"right"}],"columns":20}`
	for _, accept := range []string{"text/plain", "image/png", "image/svg+xml"} {
		a := ask{method: "POST", path: "/v1/receipts/preview", token: registerToken, key: "key-" + accept, body: body, header: map[string]string{"Accept": accept}}
		first, again := a.do(t, s), a.do(t, s)
		if first.Code != 200 || again.Code != 200 || again.Header().Get("Idempotent-Replayed") != "true" || first.Header().Get("Idempotent-Replayed") != "" ||
			again.Header().Get("Content-Type") != first.Header().Get("Content-Type") || again.Body.String() != first.Body.String() ||
			again.Header().Get("Content-Security-Policy") != first.Header().Get("Content-Security-Policy") {
			t.Errorf("%s: %d %v\n%q, then %d %v\n%q", accept, first.Code, first.Header(), first.Body, again.Code, again.Header(), again.Body)
		}
		a.body = `{"document":[{"op":"rule"}],"columns":20}`
		if w := a.do(t, s); code(t, w) != "idempotency_key_reused" {
			t.Errorf("%s with another body: %d %s", accept, w.Code, w.Body)
		}
	}
}

func TestPreviewRefusals(t *testing.T) {
	s := newServer(t, newMemory())
	long := `{"document":[` + strings.Repeat(`{"op":"feed","lines":100},`, 6) + `{"op":"cut"}]}`
	for _, tt := range []struct {
		accept, body string
		status       int
		code         string
	}{
		{"", `{"raw":"G0A="}`, 422, "validation_failed"},
		{"image/png", `{"raw":"G0A="}`, 422, "validation_failed"},
		{"image/png", `{"document":[{"op":"cut"}],"printer":"none"}`, 422, "validation_failed"},
		{"image/png", `{"document":[{"op":"cut"}],"printer":"front"}`, 200, ""},
		{"image/png", `{"document":[{"op":"barcode","symbology":"ean13","data":"1"}]}`, 422, "invalid_document"},
		{"image/png", long, 422, "preview_too_long"},
		{"image/svg+xml", long, 422, "preview_too_long"},
		{"text/plain", long, 200, ""},
	} {
		w := previewOf(t, s, tt.accept, tt.body)
		if w.Code != tt.status || tt.code != "" && code(t, w) != tt.code {
			t.Errorf("%s %.40s: %d %s", tt.accept, tt.body, w.Code, w.Body)
		}
	}
}

// TestPreviewWithoutFonts holds that a character that no font has is drawn as a box, and named.
func TestPreviewWithoutFonts(t *testing.T) {
	s := newServer(t, newMemory())
	w := previewOf(t, s, "image/png", `{"document":[{"op":"text","text":"a \ue000 b \ue001"}]}`)
	if w.Code != 200 || w.Header().Get("X-Preview-Missing") != "U+E000 U+E001" || !bytes.HasPrefix(w.Body.Bytes(), []byte("\x89PNG")) {
		t.Errorf("%d %q", w.Code, w.Header().Get("X-Preview-Missing"))
	}
	if w := previewOf(t, s, "image/png", `{"document":[{"op":"text","text":"a"}]}`); w.Header().Values("X-Preview-Missing") != nil {
		t.Errorf("%v", w.Header())
	}
}
