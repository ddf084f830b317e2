package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "storeagent.log")
	begun := 0
	l, err := Open(path, 10, func(*os.File) { begun++ })
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"one\n", "two\n", "three\n", "a line over the limit\n", "five\n"} {
		if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("write %q: %d, %v", line, n, err)
		}
	}
	if got := read(t, path); got != "five\n" {
		t.Errorf("the newest file holds %q", got)
	}
	if got := read(t, path+Older); got != "a line over the limit\n" {
		t.Errorf("the older file holds %q", got)
	}
	if begun != 4 {
		t.Errorf("%d files were begun, want 4", begun)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	if _, err := l.Write([]byte("late")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a write after Close: %v", err)
	}
	// The next run goes on where this one stopped.
	if l, err = Open(path, 10, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte("six\n")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "five\nsix\n" {
		t.Errorf("after a restart the file holds %q", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenFails(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "missing", "x.log"), 10, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a log in a folder that is missing: %v", err)
	}
}

// TestOlderInTheWay goes on in the full file where it cannot be put aside.
func TestOlderInTheWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "storeagent.log")
	if err := os.MkdirAll(filepath.Join(path+Older, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := Open(path, 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 5 {
		if _, err := l.Write([]byte("12345678\n")); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, path); got != strings.Repeat("12345678\n", 5) {
		t.Errorf("the file holds %q", got)
	}
}

func TestManyWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "storeagent.log")
	l, err := Open(path, 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				fmt.Fprintf(l, "writer %d\n", i)
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(read(t, path)) {
		if len(line) != len("writer 0\n") {
			t.Fatalf("lines are mixed: %q", line)
		}
	}
}
