package installer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"storeagent/installer/config"
	"storeagent/offline/cloudsim"
	"storeagent/offline/signin"
)

// simulatedCloud serves API and sign-in at one address; dated is how far its clock is ahead.
func simulatedCloud(t *testing.T, o cloudsim.SignInOptions, dated time.Duration) string {
	t.Helper()
	signIn, err := cloudsim.NewSignIn(o)
	if err != nil {
		t.Fatal(err)
	}
	sim, err := cloudsim.New(cloudsim.Options{SignIn: signIn})
	if err != nil {
		t.Fatal(err)
	}
	sim.Skew(dated) // of the API
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if signIn.Owns(r.URL.Path) {
			w = datedWriter{w, dated}
		}
		sim.ServeHTTP(w, r)
	}))
}

// datedWriter answers with a clock that is ahead.
type datedWriter struct {
	http.ResponseWriter
	ahead time.Duration
}

func (w datedWriter) WriteHeader(status int) {
	w.Header().Set("Date", time.Now().Add(w.ahead).UTC().Format(http.TimeFormat))
	w.ResponseWriter.WriteHeader(status)
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// secureServer serves with a certificate; the file names what to trust.
func secureServer(t *testing.T, cert *tls.Certificate) (url, caFile string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what the tests are about
	if cert != nil {
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	caFile = filepath.Join(t.TempDir(), "root.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.TLS.Certificates[0].Certificate[0]})
	if err := os.WriteFile(caFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return srv.URL, caFile
}

// expiredCertificate is one for 127.0.0.1 that ended yesterday.
func expiredCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// closedPort is an address where nobody listens, nor can begin to: it is the near end of a connection.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}

func cloudConfig(endpoint, issuer, caFile string) *config.Config {
	return &config.Config{
		Path: "storeagent.toml", Store: config.Store{Code: "S", Register: "R", Currency: "USD"}, Data: config.Data{Dir: "/nowhere"},
		Cloud: config.Cloud{Endpoint: endpoint, Issuer: issuer, ClientID: "storeagent", Flow: "device", CAFile: caFile},
	}
}

func settings(cfg *config.Config) (signin.Config, error) {
	return signin.Config{
		Issuer: cfg.Cloud.Issuer, ClientID: cfg.Cloud.ClientID, Flow: signin.Flow(cfg.Cloud.Flow), CAFile: cfg.Cloud.CAFile, Dir: cfg.Data.Dir,
		Store: cfg.Store.Code, Register: cfg.Store.Register,
	}, nil
}

// find gives the finding of that name, and fails the test where it is not there exactly once.
func find(t *testing.T, list []Finding, name string) Finding {
	t.Helper()
	var got []Finding
	for _, f := range list {
		if f.Name == name {
			got = append(got, f)
		}
	}
	if len(got) != 1 {
		t.Fatalf("%d findings %q in %+v", len(got), name, list)
	}
	return got[0]
}

func TestCloudWell(t *testing.T) {
	url := simulatedCloud(t, cloudsim.SignInOptions{}, 0)
	list := cloud(t.Context(), cloudConfig(url+cloudsim.Path, url, ""), settings)
	names := []string{}
	for _, f := range list {
		names = append(names, f.Name)
		if f.Level != OK || f.Hint != "" || f.Code != "" {
			t.Errorf("%+v", f)
		}
	}
	if got := strings.Join(names, ", "); got != "cloud.endpoint, cloud.issuer, sign-in discovery, sign-in issuer, sign-in flow, clock" {
		t.Error(got)
	}
}

// TestCloudBroken breaks every step of the way, for real.
func TestCloudBroken(t *testing.T) {
	good := simulatedCloud(t, cloudsim.SignInOptions{}, 0)
	api := good + cloudsim.Path
	secure, secureCA := secureServer(t, nil)
	expired, expiredCA := secureServer(t, expiredCertificate(t))
	other := simulatedCloud(t, cloudsim.SignInOptions{Issuer: "https://login.example.com/"}, 0)
	status := func(code int, header ...string) string {
		return serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}))
	}
	silentPort, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silentPort.Close()
	notPEM := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(notPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, endpoint, issuer, ca string
		name                       string
		level                      Level
		code, message, hint        string
	}{
		{"name", "https://pos..example/graphql", good, "", "cloud.endpoint", Failure, "dns", "the name pos..example cannot be looked up: no such host", "cloud.endpoint"},
		{"refused", "http://" + closedPort(t) + "/", good, "", "cloud.endpoint", Failure, "tcp", "connection refused", "firewall"},
		{"issuer refused", api, "http://" + closedPort(t), "", "cloud.issuer", Failure, "tcp", "connection refused", "cloud.issuer"},
		{"unknown root", secure, good, "", "cloud.endpoint", Failure, "tls", "signed by nobody", "cloud.ca_file"},
		{"issuer's unknown root", api, secure, "", "cloud.issuer", Failure, "tls", "signed by nobody", "cloud.ca_file"},
		{"other name", strings.Replace(secure, "127.0.0.1", "localhost", 1), good, secureCA, "cloud.endpoint", Failure, "tls", "another name than localhost", "cloud.endpoint"},
		{"expired", expired, good, expiredCA, "cloud.endpoint", Failure, "tls", "out of its dates", "clock"},
		{"no TLS there", strings.Replace(good, "http:", "https:", 1), good, "", "cloud.endpoint", Failure, "tls", "does not speak TLS", "the port in cloud.endpoint"},
		{"root file missing", api, good, "/nowhere/root.pem", "cloud.ca_file", Failure, "config", "no such file", "PEM"},
		{"root file wrong", api, good, notPEM, "cloud.ca_file", Failure, "config", "holds no certificate", "PEM"},
		{"404", status(404), good, "", "cloud.endpoint", Failure, "endpoint", "404 at that path", "path in cloud.endpoint"},
		{"5xx", status(503), good, "", "cloud.endpoint", Warning, "endpoint", "503", "sent later"},
		{"redirect", status(302, "Location", "http://login.hotspot.example/"), good, "", "cloud.endpoint", Failure, "endpoint", "login.hotspot.example", "guest network"},
		{"page", status(200, "Content-Type", "text/html; charset=utf-8"), good, "", "cloud.endpoint", Failure, "endpoint", "web page", "guest network"},
		{"no discovery", api, status(404), "", "sign-in discovery", Failure, "discovery", "answers 404", "browser"},
		{"issuer mismatch", api, other, "", "sign-in issuer", Failure, "issuer", "https://login.example.com/", "exactly"},
		{"no device endpoint", api, simulatedCloud(t, cloudsim.SignInOptions{NoDeviceEndpoint: true}, 0), "", "sign-in flow", Failure, "flow", "no device sign-in", "browser"},
		{"clock behind", simulatedCloud(t, cloudsim.SignInOptions{}, 3*time.Hour) + cloudsim.Path, good, "", "clock", Warning, "clock", "3h0m0s behind", "set the clock"},
		{"clock ahead", simulatedCloud(t, cloudsim.SignInOptions{}, -time.Hour) + cloudsim.Path, good, "", "clock", Warning, "clock", "1h0m0s ahead of", "set the clock"},
		{"sign-in server's clock", api, simulatedCloud(t, cloudsim.SignInOptions{}, time.Hour), "", "clock", Warning, "clock", "1h0m0s behind", "set the clock"},
	} {
		t.Run(c.what, func(t *testing.T) {
			list := cloud(t.Context(), cloudConfig(c.endpoint, c.issuer, c.ca), settings)
			var f Finding
			for _, x := range list { // reaching it may have gone well before
				if x.Name == c.name && (f.Name == "" || x.Level != OK) {
					f = x
				}
			}
			if f.Part != "cloud" || f.Level != c.level || f.Code != c.code || !strings.Contains(f.Message, c.message) || !strings.Contains(f.Hint, c.hint) {
				t.Errorf("got %+v\nof %+v", f, list)
			}
			for _, x := range list {
				if x.Level != OK && x != f {
					t.Errorf("also %+v", x)
				}
			}
		})
	}
}

// TestCloudSilent asks an API that takes the connection and says nothing.
func TestCloudSilent(t *testing.T) {
	release := make(chan struct{})
	url := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	said, clock := knock(ctx, url, nil)
	if said == nil || said.Code != "endpoint" || said.Level != Warning || clock != nil {
		t.Errorf("%+v %+v", said, clock)
	}
}

func TestCloudSecret(t *testing.T) {
	url := simulatedCloud(t, cloudsim.SignInOptions{}, 0)
	list := cloud(t.Context(), cloudConfig(url, url, ""), func(*config.Config) (signin.Config, error) {
		return signin.Config{}, errors.New("read secret env:CLIENT: the environment has no CLIENT")
	})
	if f := find(t, list, "cloud.client_secret"); f.Level != Failure || f.Code != "config" || f.Hint == "" {
		t.Errorf("%+v", f)
	}
}
