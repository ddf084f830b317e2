package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
)

// TestScripts runs the command line as a person or a script does: testdata/script/*.txtar, real processes.
func TestScripts(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Values["day"] = &day{out: io.Discard}
			e.Setenv("PROGRAM", program)
			return nil
		},
		Condition: func(cond string) (bool, error) { // [root]: whether the tests may change the system
			if cond != "root" {
				return false, errors.New("no such condition")
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exitsCmd, "openshop": openShopCmd, "approve": approveCmd, "sell": sellCmd, "cloud": cloudCmd,
			"operation": operationCmd, "eventually": eventuallyCmd, "freeport": freePortCmd, "api": apiCmd,
		},
	})
}

func dayOf(ts *testscript.TestScript) *day { return ts.Value("day").(*day) }

// poll asks until done, for as long as tests are patient.
func poll(ts *testscript.TestScript, what string, done func(ctx context.Context) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("waited in vain for %s", what)
		}
	}
}

// exitsCmd: exits CODE PROGRAM ARGS… runs a program that must end with exactly that code.
func exitsCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if x := (*exec.ExitError)(nil); errors.As(err, &x) {
		got = x.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit %d, want %d", got, want)
	}
}

// openShopCmd: openshop starts a simulated store with a running agent, AGENT is its address, and points STOREAGENT_CONFIG at it.
func openShopCmd(ts *testscript.TestScript, _ bool, _ []string) {
	d := dayOf(ts)
	ctx, cancel := context.WithCancel(context.Background())
	dir := ts.MkAbs("shop")
	ts.Check(os.Mkdir(dir, 0o700))
	var err error
	if d.shop, err = openShop(ctx, dir, []string{ts.Getenv("PROGRAM")}, ownPort, nil); err != nil {
		cancel()
		ts.Fatalf("%v", err)
	}
	ts.Defer(func() {
		d.shop.close()
		cancel()
	})
	ts.Check(d.open(ctx))
	ts.Setenv("STOREAGENT_CONFIG", d.shop.config())
	ts.Setenv("AGENT", d.shop.listen)
}

// approveCmd: approve waits for a sign-in that waits for a person, and is that person.
func approveCmd(ts *testscript.TestScript, _ bool, _ []string) {
	d := dayOf(ts)
	poll(ts, "a sign-in to approve", func(ctx context.Context) bool {
		st, err := d.admin.SignInStatus(ctx)
		if err != nil || st.State != "pending" || st.UserCode == "" {
			return false
		}
		ts.Check(d.shop.cloud.SignIn().Approve(st.UserCode, "lane-3@corner-shop.example"))
		return true
	})
}

// sellCmd: sell TRANSACTION STATE sells for cash and waits until the sale is in that state.
func sellCmd(ts *testscript.TestScript, _ bool, args []string) {
	d := dayOf(ts)
	got, err := d.till.PostSale(context.Background(), "sale-"+args[0], cashSale(args[0], "1.99"))
	ts.Check(err)
	poll(ts, args[0]+" to be "+args[1], func(ctx context.Context) bool {
		v, err := d.till.Sale(ctx, got.ID)
		return err == nil && v.State == offline.State(args[1])
	})
}

// cloudCmd: cloud MODE lets mutations fail that way from now on; cloud well heals it; cloud has TRANSACTION N counts.
func cloudCmd(ts *testscript.TestScript, _ bool, args []string) {
	sim := dayOf(ts).shop.cloud
	switch args[0] {
	case "well":
		sim.Heal()
	case "has":
		if n := sim.Executions()[args[1]]; strconv.Itoa(n) != args[2] {
			ts.Fatalf("the cloud has %s %d times, want %s", args[1], n, args[2])
		}
	default:
		sim.FailMutations(cloudsim.Mode(args[0]), 0)
	}
}

// operationCmd: operation VARIABLE TRANSACTION sets the variable to the id of a sale's operation.
func operationCmd(ts *testscript.TestScript, _ bool, args []string) {
	page, err := dayOf(ts).admin.QueueItems(context.Background(), nil)
	ts.Check(err)
	for _, i := range page.Items {
		if i.SearchFor == args[1] {
			ts.Setenv(args[0], i.ID)
			return
		}
	}
	ts.Fatalf("no operation of %s", args[1])
}

// eventuallyCmd: eventually exists FILE, or eventually ready ADDRESS.
func eventuallyCmd(ts *testscript.TestScript, _ bool, args []string) {
	poll(ts, strings.Join(args, " "), func(ctx context.Context) bool {
		if args[0] == "exists" {
			_, err := os.Stat(ts.MkAbs(args[1]))
			return err == nil
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+args[1]+"/readyz", nil)
		ts.Check(err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// freePortCmd: freeport VARIABLE… sets variables to ports that nobody listens on.
func freePortCmd(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		l, err := listenLasting(context.Background(), ownPort)
		ts.Check(err)
		_, port, _ := strings.Cut(l.Addr().String(), ":")
		ts.Setenv(name, port)
		ts.Check(l.Close())
	}
}

// apiCmd: api ADDRESS DATADIR METHOD PATH BODY PATTERN calls an agent as its technician until the answer holds the
// pattern. Each call is a repeat of the first: its key is the path.
func apiCmd(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 6 {
		ts.Fatalf("usage: api ADDRESS DATADIR METHOD PATH BODY PATTERN")
	}
	token := strings.TrimSpace(ts.ReadFile(filepath.Join(args[1], technicianToken)))
	last := ""
	defer func() { ts.Logf("last answer: %s", last) }()
	poll(ts, args[5], func(ctx context.Context) bool {
		req, err := http.NewRequestWithContext(ctx, args[2], "http://"+args[0]+args[3], strings.NewReader(args[4]))
		ts.Check(err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Last-Event-ID", "0")
		if args[4] != "" {
			req.Header.Set("Idempotency-Key", "key"+strings.ReplaceAll(args[3], "/", "-"))
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		last = resp.Status + " "
		for part := make([]byte, 64<<10); err == nil && !strings.Contains(last, args[5]); { // a stream of events never ends
			var n int
			n, err = resp.Body.Read(part)
			last += string(part[:n])
		}
		return strings.Contains(last, args[5])
	})
}
