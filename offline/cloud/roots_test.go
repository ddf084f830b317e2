package cloud

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// A store's own root is trusted beside the system's roots, as the sign-in does: the cloud and its sign-in server may be
// signed by different ones.
func TestRootsBesideTheSystems(t *testing.T) {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "root.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	want.AddCert(srv.Certificate())
	if got, err := readRoots(file); err != nil || !got.Equal(want) {
		t.Errorf("roots of the file are not the system's and its own: %v", err)
	}
}
