//go:build linux

package devicesim

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestPTYPassesEveryByte(t *testing.T) {
	p, err := OpenPTY("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	program, err := os.OpenFile(p.Name(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = program.Close() }()
	all := make([]byte, 256)
	for n := range all {
		all[n] = byte(n)
	}
	got := make([]byte, len(all))
	for _, way := range []struct {
		from io.Writer
		to   io.Reader
	}{{p, program}, {program, p}} {
		if _, err := way.from.Write(all); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way.to, got); err != nil || string(got) != string(all) {
			t.Errorf("%v, %x", err, got)
		}
	}
}

func TestPTYLink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "printer")
	if err := os.Symlink("/nowhere", link); err != nil { // left by a killed run
		t.Fatal(err)
	}
	p, err := OpenPTY(link)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name() != link {
		t.Errorf("name %s", p.Name())
	}
	done := make(chan error, 1)
	go func() { _, err := p.Read(make([]byte, 1)); done <- err }()
	if err := p.Unplug(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("read while unplugged: %v", err)
	}
	if _, err := os.Lstat(link); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link is still there: %v", err)
	}
	if err := p.Replug(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(link); err != nil {
		t.Errorf("the link leads nowhere: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Replug(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("replug after Close: %v", err)
	}
	if err := os.WriteFile(link, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenPTY(link); err == nil {
		t.Error("a file was replaced by a link")
	}
}

func TestScannerBytes(t *testing.T) {
	for want, o := range map[string]ScannerOptions{
		"123\r":          {},
		"]E0123\r":       {AIM: true},
		"\x02123\x03":    {Prefix: "\x02", Suffix: "\x03"},
		"\x02]E0123\r\n": {Prefix: "\x02", Suffix: "\r\n", AIM: true},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := NewScanner(w, o).Scan("]E0", "123"); err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		if got, err := io.ReadAll(r); string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		_ = r.Close()
	}
}
