package installer

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestReportText(t *testing.T) {
	r := newReport()
	r.add(
		Finding{Part: "data", Name: "/var/lib/storeagent", Level: OK, Message: "is there"},
		Finding{Part: "data", Name: "free space", Level: Warning, Code: "storage_low", Message: "400 MiB", Hint: "free space on that disk"},
		Finding{Part: "device", Name: "paper", Level: Failure, Code: "cover_open", Message: "the cover is open", Hint: "close the cover"},
		Finding{Part: "device", Name: "hand", Level: OK, Message: "ready"},
	)
	var b strings.Builder
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	const want = `data
  ok      /var/lib/storeagent: is there
  WARNING free space: 400 MiB
          → free space on that disk
device
  FAILED  paper: the cover is open
          → close the cover
  ok      hand: ready
Something is broken; the arrows say what to do.
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestReportWorst(t *testing.T) {
	for _, c := range []struct {
		levels []Level
		worst  Level
		code   int
		last   string
	}{
		{nil, OK, 0, "All well."},
		{[]Level{OK, OK}, OK, 0, "All well."},
		{[]Level{OK, Warning, OK}, Warning, 1, "It works, with warnings."},
		{[]Level{Failure, Warning, OK}, Failure, 2, "Something is broken; the arrows say what to do."},
	} {
		r := newReport()
		for _, l := range c.levels {
			r.add(Finding{Level: l})
		}
		if r.Worst != c.worst || r.ExitCode() != c.code {
			t.Errorf("%v: worst %s, exit %d", c.levels, r.Worst, r.ExitCode())
		}
		var b strings.Builder
		if err := r.Text(&b); err != nil || !strings.HasSuffix(b.String(), c.last+"\n") {
			t.Errorf("%v ends %q, %v", c.levels, b.String(), err)
		}
	}
}

// TestReportJSON holds the shape that scripts read.
func TestReportJSON(t *testing.T) {
	r := newReport()
	empty, err := json.Marshal(r)
	if err != nil || string(empty) != `{"agentRunning":false,"worst":"ok","findings":[]}` {
		t.Errorf("empty: %s, %v", empty, err)
	}
	r.Agent = true
	r.add(Finding{"device", "paper", Failure, "paper_out", "the paper is out", "put in a new roll"}, Finding{"data", "x", OK, "", "fine", ""})
	got, err := json.Marshal(r)
	const want = `{"agentRunning":true,"worst":"failure","findings":[` +
		`{"part":"device","name":"paper","level":"failure","code":"paper_out","message":"the paper is out","hint":"put in a new roll"},` +
		`{"part":"data","name":"x","level":"ok","message":"fine"}]}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}
