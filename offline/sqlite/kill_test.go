package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
)

// What tells a copy of this test program to be a register that is killed: the folder, and the step at which it kills
// itself ("" leaves that to its parent).
const (
	killDir  = "STOREAGENT_TEST_KILL_DIR"
	killStep = "STOREAGENT_TEST_KILL_STEP"
)

// killSteps are the places between which a sale can be lost or doubled.
var killSteps = []string{
	"before accept", "after accept", "before begin", "after begin", "before execution", "after execution", "before finish",
	"after finish", "before settle", "after settle",
}

// fatalStep ends the process like a power cut when the step comes.
type fatalStep string

func (f fatalStep) at(step string) {
	if string(f) != step {
		return
	}
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {} // the signal is on its way
}

// steppedStore is an outbox with the named steps around its commits.
type steppedStore struct {
	Outbox
	die  fatalStep
	room chan struct{} // one for each sale that may be accepted now: the forwarder keeps up
}

func (s steppedStore) AcceptSale(ctx context.Context, a offline.Acceptance, e journal.Entry) error {
	s.die.at("before accept")
	err := s.Outbox.AcceptSale(ctx, a, e)
	s.die.at("after accept")
	return err
}

func (s steppedStore) Begin(ctx context.Context, id string, n int, at time.Time, e ...journal.Event) error {
	s.die.at("before begin")
	err := s.Outbox.Begin(ctx, id, n, at, e...)
	s.die.at("after begin")
	return err
}

func (s steppedStore) Finish(ctx context.Context, id string, n int, r offline.Result, e ...journal.Event) error {
	s.die.at("before finish")
	err := s.Outbox.Finish(ctx, id, n, r, e...)
	s.die.at("after finish")
	fmt.Println("done", id)
	select {
	case s.room <- struct{}{}:
	default:
	}
	return err
}

func (s steppedStore) Settle(ctx context.Context, id string, r offline.Result, e ...journal.Event) error {
	s.die.at("before settle")
	err := s.Outbox.Settle(ctx, id, r, e...)
	s.die.at("after settle")
	return err
}

// paperCloud executes by one line in a file, which stays when the process is killed, and answers at random.
type paperCloud struct {
	ledger *os.File
	die    fatalStep
	mu     sync.Mutex
}

func (c *paperCloud) Send(_ context.Context, op offline.Operation) offline.Verdict {
	c.die.at("before execution")
	luck := rand.IntN(20)
	if luck == 0 {
		return offline.Verdict{Class: offline.ClassNotExecuted, PushBack: true, HTTPStatus: 429}
	}
	if luck == 1 {
		return offline.Verdict{Class: offline.ClassDoubt} // it never arrived, which nobody knows
	}
	c.mu.Lock()
	_, err := fmt.Fprintf(c.ledger, "%-63s\n", op.ID) // a part of a page: no kill leaves half of it
	c.mu.Unlock()
	c.die.at("after execution")
	if err != nil || luck == 2 {
		return offline.Verdict{Class: offline.ClassDoubt} // executed, and the answer is lost
	}
	return offline.Verdict{Class: offline.ClassDelivered, CloudID: "P-" + op.ID}
}

func (c *paperCloud) Probe(context.Context) offline.Verdict {
	return offline.Verdict{Class: offline.ClassDelivered}
}

// sellUntilKilled sells and forwards as fast as it can, and prints each promise after it was given.
func sellUntilKilled(dir string, die fatalStep) error {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir, ReserveBytes: -1})
	if err != nil {
		return err
	}
	ledger, err := os.OpenFile(filepath.Join(dir, "ledger"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	store := steppedStore{s.Outbox(), die, make(chan struct{}, 16)}
	for range 8 {
		store.room <- struct{}{}
	}
	f, err := offline.NewForwarder(offline.ForwarderConfig{
		Store: store, Cloud: &paperCloud{ledger: ledger, die: die}, Settings: s.Settings(), Log: slog.New(slog.DiscardHandler),
		Currency: "USD", StartRate: 5000, MaxRate: 5000,
	})
	if err != nil {
		return err
	}
	failed := make(chan error)
	go func() { failed <- f.Run(ctx) }()
	for range 3 {
		go func() {
			for {
				n := rand.Int()
				a := someSale(n)
				if err := store.AcceptSale(ctx, a, someEntry(n)); err != nil {
					failed <- err
					return
				}
				fmt.Println("sold", a.Operations[0].ID)
				f.Wake()
				<-store.room
			}
		}()
	}
	return <-failed
}

// killed runs a register until it was killed and returns the operations that it promised to deliver.
func killed(t *testing.T, dir, step string, after int) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDir+"="+dir, killStep+"="+step)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var promises []string
	lines := 0
	kill := sync.OnceValue(cmd.Process.Kill)
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadString('\n')
		if err == nil {
			lines++
			if id, sold := strings.CutPrefix(strings.TrimSpace(line), "sold "); sold {
				promises = append(promises, id)
			}
		} else if err != io.EOF {
			t.Fatal(err)
		}
		if lines >= after || err != nil {
			if kerr := kill(); kerr != nil && !errors.Is(kerr, os.ErrProcessDone) {
				t.Fatal(kerr)
			}
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err == nil || stderr.Len() > 0 {
		t.Fatalf("the register ended by itself: %v %s", err, stderr.String())
	}
	return promises
}

// kills is how often the test below kills a register, beside twice at each named step. make test runs it once more
// without the race detector, for the full number.
func kills() int {
	if raced {
		return 20
	}
	return 300
}

// TestThreeHundredKillsLoseAndDoubleNothing runs a whole queue - accepting, forwarding, settling - in a process of its
// own, kills it at random moments under load and at every named step, and then holds the cloud's ledger against
// what was promised and what the database says.
func TestThreeHundredKillsLoseAndDoubleNothing(t *testing.T) {
	done := map[offline.State]int{}
	for left := kills(); left > 0; left -= 50 { // a store each, so that the backlog of the kills stays small
		dir := t.TempDir()
		var promised []string
		for range min(left, 50) {
			promised = append(promised, killed(t, dir, "", rand.IntN(40))...)
		}
		for _, step := range killSteps {
			if !raced || left <= 50 {
				promised = append(promised, killed(t, dir, step, 5000)...)
			}
		}
		for state, n := range checkPromises(t, dir, promised) {
			done[state] += n
		}
	}
	if done[offline.Delivered] < kills() || done[offline.Parked] == 0 {
		t.Errorf("%v: too little happened for that to mean anything", done)
	}
}

// checkPromises holds the cloud's ledger and the database against what was promised, and counts the states.
func checkPromises(t *testing.T, dir string, promised []string) map[offline.State]int {
	t.Helper()
	executed := map[string]int{}
	ledger, err := os.ReadFile(filepath.Join(dir, "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(ledger)) {
		executed[strings.TrimSpace(line)]++
	}
	s := openIn(t, dir)
	defer closeIt(t, s)
	if list := s.Findings(); len(list) > 0 {
		t.Errorf("findings after plain kills: %v", list)
	}
	tally := map[offline.State]int{}
	for _, id := range promised {
		op, err := s.Outbox().Operation(t.Context(), id)
		if err != nil {
			t.Errorf("lost: %v", err)
			continue
		}
		tally[op.State]++
		n := executed[id]
		switch {
		case n > 1:
			t.Errorf("%s was executed %d times", id, n)
		case op.State == offline.Delivered && n != 1:
			t.Errorf("%s is called delivered and was executed %d times", id, n)
		case op.State == offline.Queued && n != 0:
			t.Errorf("%s is queued after it was executed", id)
		}
	}
	for id, n := range executed { // also those whose promise was not heard any more
		if _, err := s.Outbox().Operation(t.Context(), id); err != nil || n > 1 {
			t.Errorf("%s was executed %d times: %v", id, n, err)
		}
	}
	if err := s.Audit().Verify(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("%d sales promised, %d executed in the ledger, states %v", len(promised), len(executed), tally)
	return tally
}
