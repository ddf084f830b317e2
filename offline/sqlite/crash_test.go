package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"storeagent/offline"
)

// crashDir tells a copy of this test program to be the process that is killed.
const crashDir = "STOREAGENT_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := acceptUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(killDir); dir != "" {
		if err := sellUntilKilled(dir, fatalStep(os.Getenv(killStep))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// acceptUntilKilled accepts sales, begins every second one, and prints each promise after it was given.
func acceptUntilKilled(dir string) error {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir, ReserveBytes: -1})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for range 4 {
		go func() {
			for {
				n := rand.Int()
				a := someSale(n)
				if err := s.Outbox().AcceptSale(ctx, a, someEntry(n)); err != nil {
					failed <- err
					return
				}
				fmt.Println("accepted", a.Record.ID, a.Operations[0].ID)
				if n%2 == 0 {
					continue
				}
				if err := s.Outbox().Begin(ctx, a.Operations[0].ID, 1, time.Now()); err != nil {
					failed <- err
					return
				}
				fmt.Println("begun", a.Record.ID, a.Operations[0].ID)
			}
		}()
	}
	return <-failed
}

// crash runs the child, kills it after it made some promises, and returns all it made.
func crash(t *testing.T, dir string, after int) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var promises []string
	kill := sync.OnceValue(cmd.Process.Kill)
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err == nil {
			promises = append(promises, strings.TrimSpace(line))
		}
		if len(promises) >= after || err != nil {
			if kerr := kill(); kerr != nil && !errors.Is(kerr, os.ErrProcessDone) {
				t.Fatal(kerr)
			}
		}
		if err != nil {
			if err != io.EOF {
				t.Fatal(err)
			}
			break // a line without an end was never said
		}
	}
	if err := cmd.Wait(); err == nil || stderr.Len() > 0 {
		t.Fatalf("child ended by itself: %v %s", err, stderr.String())
	}
	return promises
}

func TestKilledProcessKeepsItsPromises(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()
	const kills = 20
	all := map[string]offline.State{} // by operation
	for kill := 1; kill <= kills; kill++ {
		fresh := map[string]offline.State{}
		for _, p := range crash(t, dir, 1+rand.IntN(60)) {
			f := strings.Fields(p)
			fresh[f[2]] = offline.Queued
			if f[0] == "begun" {
				fresh[f[2]] = offline.InDoubt
			}
		}
		maps.Copy(all, fresh)
		s := openIn(t, dir)
		if _, err := s.Outbox().Doubt(ctx, time.Now()); err != nil {
			t.Fatal(err)
		}
		if kill == kills {
			fresh = all
		}
		for id, want := range fresh {
			op, err := s.Outbox().Operation(ctx, id)
			// A begin may be on disk whose promise was not printed any more.
			if err != nil || op.State != want && op.State != offline.InDoubt {
				t.Fatalf("operation %s is %s, %v, want %s", id, op.State, err, want)
			}
			if _, err := s.Outbox().Sale(ctx, op.SaleID); err != nil {
				t.Fatal(err)
			}
		}
		if list := s.Findings(); len(list) > 0 {
			t.Fatalf("findings after a plain crash: %v", list)
		}
		closeIt(t, s)
	}
	if len(all) < 100 {
		t.Errorf("only %d promises were made in all", len(all))
	}
}

func TestBootTellsRunsApart(t *testing.T) {
	dir := t.TempDir()
	a := openIn(t, dir)
	first := a.boot
	closeIt(t, a)
	b := openIn(t, dir)
	defer closeIt(t, b)
	if _, err := uuid.Parse(first); err != nil || first == b.boot {
		t.Errorf("two runs are %q and %q", first, b.boot)
	}
}
