package signin

import (
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"storeagent/offline/cloudsim"
)

// The own transport, over a real socket with TLS: it trusts the store's root where named, follows no redirect and
// takes no endless answer.
func TestOwnTransport(t *testing.T) {
	var handler http.Handler
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	defer srv.Close()
	sim, err := cloudsim.NewSignIn(cloudsim.SignInOptions{Issuer: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	handler = sim
	root := filepath.Join(t.TempDir(), "root.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(root, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Issuer: srv.URL, ClientID: "storeagent", Dir: t.TempDir()}

	s, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := s.Start(t.Context()); !errors.As(err, &e) || e.Code != "tls" {
		t.Errorf("without the root Start = %v", err)
	}
	cfg.CAFile = root
	s, err = New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := s.Start(t.Context()); err != nil || st.State != "pending" {
		t.Errorf("with the root Start = %+v, %v", st, err)
	}
	for _, f := range Diagnose(t.Context(), cfg) {
		if !f.OK {
			t.Errorf("Diagnose found %+v", f)
		}
	}

	handler = http.RedirectHandler("https://elsewhere.test/", http.StatusTemporaryRedirect)
	resp, err := s.client.Post(srv.URL, "text/plain", nil)
	if err != nil || resp.StatusCode != http.StatusTemporaryRedirect {
		t.Fatalf("a redirect gave %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 1 << 12 {
			if _, err := w.Write(make([]byte, 1024)); err != nil {
				return
			}
		}
	})
	resp, err = s.client.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if n, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, errBodyTooLong) || n != bodyLimit {
		t.Errorf("read %d bytes, %v", n, err)
	}
	s.client.CloseIdleConnections()
}
