package devicesim_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"storeagent/devices/devicesim"
)

// starCapture is the beginning of a receipt as receiptline 4.0.4 makes it for "starsbcs": two columns of items, a rule, a
// bar code, and, put behind it here, the cut, the document counter and a drawer pulse.
const starCapture = `1b401b1e61001b1e46001b20301b7330301b30121b2d301b461b351b6900001b6c001b51301b6c001b51301b1d61001b1d4100001b1d52f6001b2d301b46
1b351b6900001b690100524543454950540a1b2d301b461b351b6900001b6c001b51301b6c001b51301b1d61001b1d4100001b2d301b461b351b690000200a
1b2d301b461b351b6900001b6c001b51301b6c001b51301b1d61001b1d4100001b1d5200001b2d301b461b351b690000436f666665651b1d41c0001b1d5254
001b2d301b461b351b690000321b1d4180011b1d5290001b2d301b461b351b690000372e30300a1b2d301b461b351b6900001b6c001b51301b6c001b51301b
1d61001b1d4100001b1d5200001b2d301b461b351b69000047721b1d740181e1651b1d41c0001b1d5254001b2d301b461b351b690000311b1d4180011b1d52
90001b2d301b461b351b690000332e32300a1b2d301b461b351b6900001b6c001b51301b6c001b51301b1d61001b1d7401c4c4c4c4c4c4c4c4c4c4c4c4c4c4
c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c40a1b2d301b461b351b6900001b6c001b51301b6c001b51301b1d61011b62
3332313c343030363338313333333933311e1b64331b1d0301000007`

func TestStarReadsACapture(t *testing.T) {
	p := devicesim.NewStar(devicesim.StarOptions{})
	var said bytes.Buffer
	in := unhex(t, starCapture)
	_ = p.Serve(t.Context(), struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(in), &said})
	want := strings.Repeat(" ", 20) + "RECEIPT\n\nCoffee" + strings.Repeat(" ", 17) + "2" + strings.Repeat(" ", 20) + "7.00\nGrüße" + strings.Repeat(" ", 18) +
		"1" + strings.Repeat(" ", 20) + "3.20\n" + strings.Repeat("─", 48) + "\n" + strings.Repeat(" ", 13) + "[EAN13 4006381333931]\n" + strings.TrimSpace(strings.Repeat("- ", 24)) + "\n"
	if got := p.Paper(); got != want || len(p.Garbage()) > 0 || p.Pulses(2) != 1 || len(p.Receipts()) != 1 {
		t.Errorf("%q\nwant %q\ngarbage %q, %d pulses", got, want, p.Garbage(), p.Pulses(2))
	}
}

// TestStarAnswers holds what the printer says against what receiptio 2.1.2 reads out of it, and against the examples of
// Star's manuals.
func TestStarAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		o    devicesim.StarOptions
		set  func(*devicesim.Star)
		ask  string
		want string
	}{
		"online":            {ask: "1b0601", want: "230600000000000000"},
		"cover open":        {ask: "1b0601", set: func(s *devicesim.Star) { s.SetCover(true) }, want: "230628000000000000"},
		"paper out":         {ask: "1b0601", set: func(s *devicesim.Star) { s.SetPaper(devicesim.PaperOut) }, want: "23060800000c000000"},
		"near end":          {ask: "1b0601", set: func(s *devicesim.Star) { s.SetPaper(devicesim.PaperNear) }, want: "230600000004000000"},
		"cutter":            {ask: "1b0601", set: func(s *devicesim.Star) { s.SetFault(true) }, want: "230608080000000000"},
		"drawer":            {ask: "1b0601", set: func(s *devicesim.Star) { s.SetDrawer(true) }, want: "230604000000000000"},
		"version 1":         {o: devicesim.StarOptions{ShortStatus: true}, ask: "1b0601", want: "0f020000000000"},
		"on a network":      {o: devicesim.StarOptions{Ethernet: true}, ask: "1b0601", want: "238600000000000000" + "0000"},
		"counter":           {ask: "1b1d03000000" + "1b1d03010211" + "1b1d03010212", want: "1b1d030000000000" + "1b1d030102110100" + "1b1d030102120200"},
		"counter cleared":   {ask: "1b1d03010000" + "1b1d03020200" + "1b1d03000200", want: "1b1d030100000100" + "1b1d030002000000"},
		"version":           {o: devicesim.StarOptions{Model: "HSP7000Ver.1.0"}, ask: "1b232a0a00", want: "1b232a2c485350373030305665722e312e300a00"},
		"silent":            {o: devicesim.StarOptions{Silent: true}, ask: "1b0601" + "1b1d03000000"},
		"amid a picture":    {ask: "1b1d53010100030000" + "1b0601"},
		"ETB and unasked":   {ask: "1b1e6101" + "17", want: "230600000000000000" + "230602000000000200"},
		"counter, when out": {ask: "1b1d03010000", set: func(s *devicesim.Star) { s.SetPaper(devicesim.PaperOut) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := devicesim.NewStar(c.o)
			if c.set != nil {
				c.set(s)
			}
			ours, theirs := net.Pipe()
			var ended sync.WaitGroup
			ended.Go(func() { _ = s.Serve(t.Context(), theirs) })
			var said []byte
			ended.Go(func() {
				for buf := make([]byte, 64); ; {
					n, err := ours.Read(buf)
					if said = append(said, buf[:n]...); err != nil {
						return
					}
				}
			})
			if _, err := ours.Write(unhex(t, c.ask)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := hex.EncodeToString(said); got != c.want {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
			_, _ = ours.Close(), theirs.Close()
			ended.Wait()
		})
	}
}
