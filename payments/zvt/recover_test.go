package zvt

import (
	"testing"
	"time"

	"storeagent/payments"
	"storeagent/payments/money"
)

func eur(t *testing.T, text string) money.Amount {
	t.Helper()
	a, err := money.Parse(text, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// began is the start of the payment that the cases of TestJudge ask about.
var began = time.Date(2026, 3, 14, 15, 9, 26, 0, time.Local)

// shown is the terminal's last transaction: 10.16 EUR, receipt 231, trace 975, ten seconds into the payment.
func shown(edit func(*statusInfo)) statusInfo {
	s := statusInfo{hasResult: true, amount: 1016, hasAmount: true, currency: "978", receipt: "0231", trace: "000975",
		clock: stamp{month: 3, day: 14, hour: 15, minute: 9, second: 36, hasDate: true, hasTime: true}}
	if edit != nil {
		edit(&s)
	}
	return s
}

func TestJudge(t *testing.T) {
	before := payments.Baseline{Known: true, Receipt: "0230", Trace: "000974"}
	itself := payments.Baseline{Known: true, Receipt: "0231", Trace: "000975"}
	approved := &payments.Outcome{State: payments.Approved, ApprovedAmount: eur(t, "9.00"), Baseline: itself}
	sure := clockOffset{known: true, exact: true}
	for _, c := range []struct {
		name  string
		base  payments.Baseline
		told  *payments.Outcome
		clock clockOffset
		last  func(*statusInfo)
		want  payments.Verdict
		state payments.State
	}{
		{name: "ours", base: before, want: payments.Known, state: payments.Approved},
		{name: "ours, clock known", base: before, clock: sure, want: payments.Known, state: payments.Approved},
		{name: "ours but failed", base: before, last: func(s *statusInfo) { s.result = 0x05 }, want: payments.Known, state: payments.Declined},
		{name: "currency not said", base: before, last: func(s *statusInfo) { s.currency = "" }, want: payments.Known, state: payments.Approved},
		{name: "the one before", base: itself, want: payments.NotCharged},
		{name: "the one before, receipt only", base: payments.Baseline{Known: true, Receipt: "0231"}, want: payments.NotCharged},
		{name: "the one before, trace only", base: payments.Baseline{Known: true, Trace: "000975"}, want: payments.NotCharged},
		{name: "receipt the same, trace not", base: payments.Baseline{Known: true, Receipt: "0231", Trace: "000974"}, want: payments.Unknown},
		{name: "nothing to compare", base: payments.Baseline{Known: true, Trace: "000974"}, last: func(s *statusInfo) { s.trace = "" }, want: payments.Unknown},
		{name: "older than the baseline", base: payments.Baseline{Known: true, Receipt: "0232"}, want: payments.Unknown},
		{name: "counter wrapped", base: payments.Baseline{Known: true, Receipt: "9999"}, want: payments.Known, state: payments.Approved},
		{name: "counter began again", base: payments.Baseline{Known: true, Receipt: "4711"}, last: func(s *statusInfo) { s.receipt = "0001" }, want: payments.Unknown},
		{name: "other amount", base: before, last: func(s *statusInfo) { s.amount = 1017 }, want: payments.Unknown},
		{name: "no amount", base: before, last: func(s *statusInfo) { s.hasAmount = false }, want: payments.Unknown},
		{name: "other currency", base: before, last: func(s *statusInfo) { s.currency = "756" }, want: payments.Unknown},
		{name: "an hour before", base: before, last: func(s *statusInfo) { s.clock.hour-- }, want: payments.Unknown},
		{name: "hours later", base: before, last: func(s *statusInfo) { s.clock.hour += 3 }, want: payments.Unknown},
		{name: "clock an hour slow, and known", base: before, clock: clockOffset{known: true, offset: -time.Hour}, last: func(s *statusInfo) { s.clock.hour-- }, want: payments.Known, state: payments.Approved},
		{name: "no time", base: before, last: func(s *statusInfo) { s.clock = stamp{} }, want: payments.Unknown},
		{name: "no numbers", base: before, last: func(s *statusInfo) { s.receipt, s.trace = "", "" }, want: payments.Unknown},
		{name: "no baseline, clock unknown", want: payments.Unknown},
		{name: "no baseline, clock known from payments only", clock: clockOffset{known: true}, want: payments.Unknown},
		{name: "no baseline, clock known", clock: sure, want: payments.Known, state: payments.Approved},
		{name: "no baseline, an equal payment a minute before", clock: sure, last: func(s *statusInfo) { s.clock.minute-- }, want: payments.Unknown},
		{name: "told, still there", base: before, told: approved, want: payments.Known, state: payments.Approved},
		{name: "told, still there without its amount", base: before, told: approved, last: func(s *statusInfo) { s.hasAmount = false }, want: payments.Known, state: payments.Approved},
		{name: "told, marked as failed", base: before, told: approved, last: func(s *statusInfo) { s.result = 0xB4 }, want: payments.Known, state: payments.Reversed},
		{name: "told, gone", base: before, told: approved, last: func(s *statusInfo) { s.receipt, s.trace = "0230", "000974" }, want: payments.NotCharged},
		{name: "told, then another one", base: before, told: approved, last: func(s *statusInfo) { s.receipt, s.trace = "0232", "000976" }, want: payments.Unknown},
		{name: "told, reversal of it", base: before, told: approved, last: func(s *statusInfo) { s.receipt, s.trace, s.origTrace = "0232", "000976", "000975" }, want: payments.Known, state: payments.Reversed},
		{name: "told, reversal of another", base: before, told: approved, last: func(s *statusInfo) { s.receipt, s.trace, s.origTrace = "0232", "000976", "000970" }, want: payments.Unknown},
		{name: "reversal of ours, result never heard", base: before, last: func(s *statusInfo) { s.receipt, s.trace, s.origTrace = "0232", "000976", "000975" }, want: payments.Known, state: payments.Reversed},
		{name: "reversal of the one before", base: before, last: func(s *statusInfo) { s.receipt, s.trace, s.origTrace = "0231", "000975", "000974" }, want: payments.Unknown},
		{name: "failed reversal", base: before, last: func(s *statusInfo) { s.origTrace, s.result = "000975", 0xB5 }, want: payments.Unknown},
	} {
		p := payments.Attempt{Txn: payments.Txn{Kind: payments.DoSale, Amount: eur(t, "10.16")}, StartedAt: began, Baseline: c.base, Told: c.told}
		v, out, err := judge(p, shown(c.last), c.clock, 5*time.Minute)
		if err != nil || v != c.want || v == payments.Known && out.State != c.state {
			t.Errorf("%s: verdict %d, state %s, %v", c.name, v, out.State, err)
		}
		if v == payments.Known && out.State == payments.Approved {
			want := "10.16"
			if c.told != nil && c.name == "told, still there without its amount" {
				want = "9.00"
			}
			if out.ApprovedAmount.String() != want {
				t.Errorf("%s: approved %s", c.name, out.ApprovedAmount)
			}
		}
	}
}

func TestStampNear(t *testing.T) {
	eve := stamp{month: 12, day: 31, hour: 23, minute: 59, second: 50, hasDate: true, hasTime: true}
	newYear := time.Date(2027, 1, 1, 0, 0, 10, 0, time.Local)
	if at, ok := eve.near(newYear); !ok || newYear.Sub(at) != 20*time.Second {
		t.Errorf("new year: %v", at)
	}
	var full stamp
	full.setDate([]byte{0x26, 0x03, 0x14})
	full.setTime([]byte{0x15, 0x09, 0x26})
	if at, ok := full.near(began.AddDate(0, 0, 100)); !ok || !at.Equal(began) {
		t.Errorf("full date: %v", at)
	}
	full = stamp{}
	full.setDate([]byte{0x13, 0x40})
	full.setTime([]byte{0x25, 0x00, 0x00})
	if _, ok := full.near(began); ok {
		t.Error("nonsense is a time")
	}
}
