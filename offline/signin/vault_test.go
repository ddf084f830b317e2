package signin

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/offline/cloudsim"
)

// Whatever operation on the disk is the last one before the power goes, the store is signed in again after the boot:
// with a reuse window of the server always, and without one unless the fresh token was not yet sealed.
func TestPowerCutAtEachDiskOperation(t *testing.T) {
	for _, window := range []time.Duration{0, time.Minute} {
		t.Run(fmt.Sprintf("window %v", window), func(t *testing.T) {
			for n := 1; ; n++ {
				if done := powerCut(t, window, n); done {
					if n < 10 {
						t.Fatalf("only %d disk operations in a refresh", n-1)
					}
					return
				}
			}
		})
	}
}

func powerCut(t *testing.T, window time.Duration, n int) (done bool) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{ReuseWindow: window}, nil)
		s := w.open()
		stop := w.run(s)
		w.signIn(s)
		var cut atomic.Bool
		count, last, shown := 0, "", ""
		w.hook(func(op string) error {
			if count++; count < n {
				return nil
			}
			if last == "" {
				last = op
				cut.Store(true)
			}
			return errors.New("no power")
		})
		first := w.sim.Grants(cloudsim.GrantRefresh)
		for range 60 { // one refresh falls into that minute
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if tok, err := s.AccessToken(t.Context()); err == nil {
			shown = tok
		}
		if done = !cut.Load(); done {
			return
		}
		stop()
		w.hook(nil)
		refreshed := w.sim.Grants(cloudsim.GrantRefresh) > first
		onDisk, _, err := (&vault{disk: &disk{dir: w.cfg.Dir}, keys: s.vault.keys, binding: s.vault.binding}).open(t.Context())
		if err != nil || onDisk == nil {
			t.Fatalf("cut %d at %q: the file holds %v, %v", n, last, onDisk, err)
		}
		if refreshed && onDisk.Generation == 1 && shown == s.set.Access && s.set.Generation != 1 {
			t.Errorf("cut %d at %q: the fresh token was used before it was sealed", n, last)
		}
		s = w.open() // the boot
		w.run(s)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		lost := refreshed && onDisk.Generation == 1
		switch {
		case !lost || window > 0:
			w.wantState(s, "signed_in")
			time.Sleep(time.Minute)
			w.wantToken(s)
		default:
			w.wantState(s, "signed_out")
			w.wantProblem(s, "refresh_lost")
		}
	})
	return done
}

// At a boot with a marker the old token is tried at once, not only when the access token is over.
func TestMarkerMakesTheBootRefreshAtOnce(t *testing.T) {
	for _, marked := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, cloudsim.SignInOptions{AccessLifetime: time.Hour}, nil)
			s := w.open()
			stop := w.run(s)
			w.signIn(s)
			stop()
			if marked {
				if err := s.vault.mark(s.set); err != nil {
					t.Fatal(err)
				}
			} else if err := s.vault.mark(&tokenSet{Generation: 1, Refresh: "another token"}); err != nil {
				t.Fatal(err)
			}
			s = w.open()
			stop = w.run(s)
			synctest.Wait()
			if n := w.sim.Grants(cloudsim.GrantRefresh); (n == 1) != marked || n > 1 {
				t.Errorf("marked %v: %d refreshes at the boot", marked, n)
			}
			stop()
			if w.open().unsure {
				t.Error("the marker speaks of a token that is not in use any more")
			}
		})
	}
}

// A disk that is full for a while: the fresh token is not shown before it is sealed, and then it is.
func TestDiskFullDuringRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, nil)
		s := w.open()
		stop := w.run(s)
		w.signIn(s)
		old := w.wantToken(s)
		w.hook(func(op string) error {
			if op == "sync "+tokenFile {
				return syscall.ENOSPC
			}
			return nil
		})
		time.Sleep(50 * time.Second)
		synctest.Wait()
		if n := w.sim.Grants(cloudsim.GrantRefresh); n != 1 {
			t.Fatalf("%d refreshes", n)
		}
		w.wantProblem(s, "storage")
		if tok, err := s.AccessToken(t.Context()); err == nil && tok != old {
			t.Error("a token is shown that is not on disk")
		}
		time.Sleep(time.Minute)
		var e *Error
		if _, err := s.AccessToken(t.Context()); !errors.As(err, &e) || e.Code != "storage" || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("AccessToken = %v", err)
		}
		w.hook(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		w.wantToken(s)
		w.wantProblem(s, "")
		stop()
	})
}

func TestTokenFileIsBoundAndTamperProof(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, w *world)
	}{
		{"flipped byte", func(t *testing.T, w *world) {
			edit(t, w, tokenFile, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
		}},
		{"other generation", func(t *testing.T, w *world) {
			edit(t, w, tokenFile, func(b []byte) []byte { b[len(sealMagic)+7]++; return b })
		}},
		{"cut short", func(t *testing.T, w *world) { edit(t, w, tokenFile, func(b []byte) []byte { return b[:20] }) }},
		{"empty", func(t *testing.T, w *world) { edit(t, w, tokenFile, func([]byte) []byte { return nil }) }},
		{"key lost", func(t *testing.T, w *world) {
			if err := os.Remove(filepath.Join(w.cfg.Dir, keyFile)); err != nil {
				t.Fatal(err)
			}
		}},
		{"other store", func(_ *testing.T, w *world) { w.cfg.Store = "AUSTIN" }},
		{"other register", func(_ *testing.T, w *world) { w.cfg.Register = "LANE-4" }},
		{"other client", func(_ *testing.T, w *world) { w.cfg.ClientID = "other" }},
		{"other issuer", func(_ *testing.T, w *world) { w.cfg.Issuer = "https://other.test/" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, cloudsim.SignInOptions{}, nil)
				good := w.cfg
				s := w.open()
				stop := w.run(s)
				w.signIn(s)
				stop()
				tt.do(t, w)
				was, err := os.ReadFile(filepath.Join(w.cfg.Dir, tokenFile))
				if err != nil {
					t.Fatal(err)
				}
				s = w.open()
				w.wantState(s, "signed_out")
				w.wantProblem(s, "token_file")
				w.wantSignedOut(s)
				kept, _ := filepath.Glob(filepath.Join(w.cfg.Dir, tokenFile+".unreadable-*"))
				if len(kept) != 1 {
					t.Fatalf("kept aside: %v", kept)
				}
				if is, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(is, was) {
					t.Errorf("the file kept aside is not the one found: %v", err)
				}
				w.cfg = good
				s = w.open()
				w.run(s)
				w.signIn(s)
			})
		})
	}
}

func edit(t *testing.T, w *world, name string, how func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(w.cfg.Dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, how(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A key that cannot be read now may be read after somebody mended it: the token file stays where it is.
func TestBrokenKeyFileLeavesTheTokensAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, nil)
		s := w.open()
		stop := w.run(s)
		w.signIn(s)
		stop()
		var good []byte
		edit(t, w, keyFile, func(b []byte) []byte { good = b; return []byte("nonsense") })
		s = w.open()
		w.wantState(s, "signed_out")
		w.wantProblem(s, "token_key")
		edit(t, w, keyFile, func([]byte) []byte { return good })
		w.wantState(w.open(), "signed_in")
	})
}

func TestFilesArePrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, func(c *Config) { c.Dir = filepath.Join(c.Dir, "data") })
		s := w.open()
		stop := w.run(s)
		w.signIn(s)
		time.Sleep(time.Minute)
		stop()
		if fi, err := os.Stat(w.cfg.Dir); err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("folder: %v %v", fi.Mode(), err)
		}
		entries, err := os.ReadDir(w.cfg.Dir)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, e := range entries {
			fi, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			if fi.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", e.Name(), fi.Mode())
			}
			found = append(found, e.Name())
		}
		if want := []string{discoveryFile, keyFile, markerFile, tokenFile}; !reflect.DeepEqual(found, want) {
			t.Errorf("files are %v, want %v", found, want)
		}
		k, err := NewKeyFile(w.cfg.Dir)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(k.Warning(), "0600") || !strings.Contains(w.logs.String(), k.Warning()) {
			t.Errorf("warning %q is not in the log", k.Warning())
		}
		if err := os.Chmod(filepath.Join(w.cfg.Dir, keyFile), 0o644); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(k.Warning(), "0600") {
			t.Errorf("an open key file makes no warning: %q", k.Warning())
		}
	})
}

// Nothing secret is readable in the log, or in any file but the key's.
func TestNoSecretsInLogsAndFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{ClientSecret: "not a real secret"}, func(c *Config) { c.ClientSecret = "not a real secret" })
		s := w.open()
		w.run(s)
		for _, f := range []cloudsim.SignInFault{{Status: 503}, {Refuse: true}, {Status: 502, Body: "echo"}, {Status: 400, Body: `{"error":"slow_down"}`}} {
			f.Grant = cloudsim.GrantDevice
			w.sim.Fail(1, f)
		}
		st, err := s.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Minute)
		_ = w.sim.Approve(st.UserCode, "clerk")
		time.Sleep(2 * time.Minute)
		w.wantToken(s)
		w.sim.Fail(2, cloudsim.SignInFault{Grant: cloudsim.GrantRefresh, Status: 502})
		time.Sleep(5 * time.Minute)
		w.wantToken(s)
		files := map[string]string{"log": w.logs.String()}
		entries, _ := os.ReadDir(w.cfg.Dir)
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(w.cfg.Dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[e.Name()] = string(b)
		}
		w.sim.Fail(1, cloudsim.SignInFault{Grant: cloudsim.GrantRefresh, Lose: true})
		time.Sleep(5 * time.Minute)
		w.wantState(s, "signed_out")
		if err := s.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		files["log"] = w.logs.String()
		secrets := w.secrets()
		if len(secrets) < 10 {
			t.Fatalf("the wire carried %d secrets only", len(secrets))
		}
		for name, text := range files {
			for secret, what := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s shows a %s", name, what)
				}
			}
		}
		key, _ := os.ReadFile(filepath.Join(w.cfg.Dir, keyFile))
		if strings.Contains(files["log"], strings.TrimSpace(string(key))) {
			t.Error("the log shows the key")
		}
	})
}

func sampleSet() (key [32]byte, binding []string, set *tokenSet) {
	copy(key[:], "a key for tests, thirty-two long")
	return key, []string{"https://pos.test/", "storeagent", "DALLAS", "LANE-3"},
		&tokenSet{Generation: 7, Refresh: "r", Access: "a", Lifetime: time.Hour, AccessExpiry: time.Unix(1_800_000_000, 0).UTC(), Scopes: []string{"openid"}, Account: "clerk"}
}

func TestSealRoundTrip(t *testing.T) {
	key, binding, set := sampleSet()
	data, err := sealFile(key, binding, set)
	if err != nil {
		t.Fatal(err)
	}
	got, err := openFile(key, binding, data)
	if err != nil || !reflect.DeepEqual(got, set) {
		t.Errorf("opened %+v, %v", got, err)
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x40
		if _, err := openFile(key, binding, bad); err == nil {
			t.Fatalf("a change of byte %d goes unseen", i)
		}
	}
	// The parts of the binding do not run into each other.
	if _, err := openFile(key, []string{"https://pos.test/s", "toreagent", "DALLAS", "LANE-3"}, data); err == nil {
		t.Error("another binding with the same letters opens the file")
	}
}

func FuzzOpenFile(f *testing.F) {
	key, binding, set := sampleSet()
	good, err := sealFile(key, binding, set)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte(sealMagic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := openFile(key, binding, data)
		// Workers seal the sample with nonces of their own, so the content is compared.
		if err == nil && !reflect.DeepEqual(got, set) {
			t.Errorf("a file that nobody sealed opens as %+v", got)
		}
	})
}
