package signin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/offline/cloudsim"
)

func TestDiagnose(t *testing.T) {
	clock := func(off time.Duration) func(*world) {
		return func(w *world) {
			sim := w.sim
			w.way.h = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				rec := httptest.NewRecorder()
				sim.ServeHTTP(rec, r)
				rec.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
				for k, v := range rec.Header() {
					rw.Header()[k] = v
				}
				rw.WriteHeader(rec.Code)
				_, _ = rw.Write(rec.Body.Bytes())
			})
		}
	}
	tests := []struct {
		name  string
		opts  cloudsim.SignInOptions
		do    func(*world)
		steps string // in order; a minus marks one that is not OK
		word  string // in detail or hint of the last bad one
	}{
		{"all well", cloudsim.SignInOptions{}, func(*world) {}, "tls clock discovery issuer flow", ""},
		{"no device endpoint", cloudsim.SignInOptions{NoDeviceEndpoint: true}, func(*world) {}, "tls clock discovery issuer -flow", `cloud.flow = "browser"`},
		{"no device endpoint needed", cloudsim.SignInOptions{NoDeviceEndpoint: true}, func(w *world) { w.cfg.Flow = FlowBrowser }, "tls clock discovery issuer flow", ""},
		{"slash missing", cloudsim.SignInOptions{}, func(w *world) { w.cfg.Issuer = strings.TrimSuffix(testIssuer, "/") }, "tls clock -issuer", testIssuer},
		{"clock behind", cloudsim.SignInOptions{}, clock(time.Hour), "tls -clock discovery issuer flow", "1h0m0s behind"},
		{"clock ahead", cloudsim.SignInOptions{}, clock(-time.Hour), "tls -clock discovery issuer flow", "1h0m0s ahead"},
		{"no network", cloudsim.SignInOptions{}, func(w *world) { w.way.cut(errors.New("no route to host")) }, "-discovery", "cable"},
		{"own root missing", cloudsim.SignInOptions{}, func(w *world) { w.way.cut(x509.UnknownAuthorityError{}) }, "-tls", "cloud.ca_file"},
		{"certificate over", cloudsim.SignInOptions{}, func(w *world) { w.way.cut(x509.CertificateInvalidError{Reason: x509.Expired}) }, "-tls", "clock"},
		{"other name", cloudsim.SignInOptions{}, func(w *world) {
			w.way.cut(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "pos.test"})
		}, "-tls", "guest network"},
		{"no TLS there", cloudsim.SignInOptions{}, func(w *world) {
			w.way.cut(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"})
		}, "-tls", "port"},
		{"wrong path", cloudsim.SignInOptions{}, func(w *world) { w.cfg.Issuer = "https://pos.test/other/" }, "tls -discovery", "404"},
		{"plain http", cloudsim.SignInOptions{}, func(w *world) { w.cfg.Issuer = "http://pos.test/" }, "-config", "https://"},
		{"secret missing", cloudsim.SignInOptions{}, func(w *world) { w.cfg.Flow = FlowClient }, "-config", "cloud.client_secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.opts, nil)
			tt.do(w)
			var steps []string
			var bad Finding
			for _, f := range Diagnose(t.Context(), w.cfg) {
				if !f.OK {
					f.Step, bad = "-"+f.Step, f
					if f.Hint == "" {
						t.Errorf("%+v has no hint", f)
					}
				}
				steps = append(steps, f.Step)
			}
			if got := strings.Join(steps, " "); got != tt.steps {
				t.Errorf("steps are %q, want %q", got, tt.steps)
			}
			if !strings.Contains(bad.Detail+" "+bad.Hint, tt.word) {
				t.Errorf("%+v does not speak of %q", bad, tt.word)
			}
			if left, _ := os.ReadDir(w.cfg.Dir); len(left) != 0 {
				t.Errorf("Diagnose wrote %v", left)
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Issuer: testIssuer, ClientID: "storeagent", Dir: t.TempDir()}
	pem := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(pem, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		edit func(*Config)
		word string // in the error; empty for none
	}{
		{"good", func(*Config) {}, ""},
		{"loopback", func(c *Config) { c.Issuer = "http://127.0.0.1:9999" }, ""},
		{"plain http", func(c *Config) { c.Issuer = "http://pos.example.com/" }, "cloud.issuer"},
		{"no issuer", func(c *Config) { c.Issuer = "" }, "cloud.issuer"},
		{"password in the issuer", func(c *Config) { c.Issuer = "https://me:too@pos.example.com/" }, "cloud.issuer"},
		{"no client", func(c *Config) { c.ClientID = "" }, "cloud.client_id"},
		{"no folder", func(c *Config) { c.Dir = "" }, "data.dir"},
		{"unknown flow", func(c *Config) { c.Flow = "implicit" }, "cloud.flow"},
		{"no secret", func(c *Config) { c.Flow = FlowClient }, "cloud.client_secret"},
		{"no root file", func(c *Config) { c.CAFile = pem + ".missing" }, "cloud.ca_file"},
		{"empty root file", func(c *Config) { c.CAFile = pem }, "cloud.ca_file"},
	}
	for _, tt := range tests {
		c := good
		tt.edit(&c)
		_, err := New(t.Context(), c)
		if (err == nil) != (tt.word == "") || err != nil && !strings.Contains(err.Error(), tt.word) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.word)
		}
		if err != nil && strings.Contains(err.Error(), "too@") {
			t.Errorf("%s: the error repeats a password: %v", tt.name, err)
		}
	}
}

// Every address the server announces must be as safe as the issuer: a token goes there.
func TestMetadataAddresses(t *testing.T) {
	tests := []struct {
		extra string
		ok    bool
	}{
		{`,"token_endpoint":"https://pos.test/t"`, true},
		{`,"token_endpoint":"https://elsewhere.test/t","userinfo_endpoint":"http://[::1]:1/u"`, true},
		{``, false},
		{`,"token_endpoint":"http://pos.test/t"`, false},
		{`,"token_endpoint":"https://pos.test/t","revocation_endpoint":"http://pos.test/r"`, false},
		{`,"token_endpoint":"https://pos.test/t","device_authorization_endpoint":"ftp://pos.test/r"`, false},
	}
	for _, tt := range tests {
		_, err := decodeMetadata([]byte(`{"issuer":"https://pos.test/"`+tt.extra+`}`), "https://pos.test/")
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.extra, err)
		}
	}
}

// With the announcement on disk a boot needs it from nobody, and one that is a day old is fetched again.
func TestDiscoveryIsCached(t *testing.T) {
	synctest.Test(t, discoveryIsCached)
}

func discoveryIsCached(t *testing.T) {
	w := newWorld(t, cloudsim.SignInOptions{}, nil)
	source := func() *metadataSource { return w.open().meta }
	if _, err := source().get(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := source().get(t.Context()); err != nil || w.sim.Calls(cloudsim.EndpointDiscovery) != 1 {
		t.Errorf("asked %d times, %v", w.sim.Calls(cloudsim.EndpointDiscovery), err)
	}
	time.Sleep(discoveryAge)
	if _, err := source().get(t.Context()); err != nil || w.sim.Calls(cloudsim.EndpointDiscovery) != 2 {
		t.Errorf("an old copy: asked %d times, %v", w.sim.Calls(cloudsim.EndpointDiscovery), err)
	}
	time.Sleep(discoveryAge)
	w.way.cut(errors.New("no route to host"))
	if md, err := source().get(t.Context()); err != nil || md.TokenURL == "" {
		t.Errorf("an old copy without network: %v", err)
	}
	w.cfg.Issuer = "https://other.test/"
	if _, err := source().get(t.Context()); err == nil {
		t.Error("the copy of another issuer was taken")
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		value string
		want  time.Duration
	}{
		{"", 0}, {"7", 7 * time.Second}, {"-7", 0}, {"99999999999999999999", 0}, {"86400", retryAfterLimit}, {"soon", 0},
		{now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		{now.Add(-time.Hour).Format(http.TimeFormat), 0},
	}
	for _, tt := range tests {
		h := http.Header{"Retry-After": {tt.value}, "Date": {now.Format(http.TimeFormat)}}
		// Our own clock is wrong; the server's counts.
		if got := retryAfter(h, now.AddDate(1, 0, 0)); got != tt.want {
			t.Errorf("%q is %v, want %v", tt.value, got, tt.want)
		}
	}
}
