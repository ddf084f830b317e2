//go:build oracle

package receiptline_test

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"storeagent/devices/devicesim"
	"storeagent/devices/oracletest"
	"storeagent/devices/printer"
	"storeagent/devices/printer/receiptline"
)

// receipts are texts that use the language as its description shows it.
var receipts = map[string]string{
	"simple": "^^^Corner Shop\n\n1 High Street\n---\nTea | 2 | 9.00\nCoffee beans 500 g|1|12.50\n---\n^TOTAL|^21.50\n",
	"table": "{width:*,4,10;align:left}\nItem |Qty|Price\n---\nGreen tea 250 g, loose leaf, organic |2|9.00\nA |1|1.00\n" +
		"{width:auto}\n\"Total\"|10.00\n",
	"aligned":  "left |\n| right\ncentre\na | b\n\n| a | b |\n",
	"escapes":  `a \| b \\ c \{ d \} \_ \" \^ \~x` + "\nx~~~y\n",
	"styles":   "_under_ \"bold\" `inverted` ^wide^ plain\n^^high\n^^^^big\n",
	"border":   "{width:10,10;border:2;align:left}\nab|cd\n{align:right}\nab|cd\n{align:center}\nab|cd\n",
	"wrap":     "{width:12,*}\nthe quick brown fox jumps|over the lazy dog\n{width:auto;text:nowrap}\nthis line is longer than the forty-two characters of the paper\n",
	"spaces":   "{border:space;width:20,20}\nCafé|Zürich\n",
	"codes":    "{code:4006381333931;option:ean,2,72,hri}\n{code:96385074;option:jan,3,40,nohri}\n{code:ABC123;option:code39,2,50,hri}\n{code:ABC123;option:code128,2,50,hri}\n",
	"comments": "{comment:nothing to see}\nend\n",
}

// TestOracleLayout holds the layout of ReceiptLine texts against that of the npm package receiptline: its bytes for Epson
// printers, printed by our simulated printer, give the lines of our preview.
func TestOracleLayout(t *testing.T) {
	for name, text := range receipts {
		for _, columns := range []int{32, 42, 48} {
			var got []struct{ Bytes []byte }
			text := strings.TrimSuffix(text, "\n") // theirs takes the end of the last line for one more
			oracletest.Ask(t, []any{map[string]any{"op": "transform", "text": text, "printer": map[string]any{
				"cpl": columns, "encoding": "multilingual", "command": "escpos", "cutting": true,
			}}}, &got)
			theirs := printed(t, columns, got[0].Bytes)
			r, err := receiptline.Parse(text, columns)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			same := func(a, b string) bool { return a == b }
			if strings.Contains(text, " ^") || strings.Contains(text, "|^") { // the two show the room of wide characters differently
				same = func(a, b string) bool { return slices.Equal(strings.Fields(a), strings.Fields(b)) }
			}
			if ours := normal(printer.PreviewText(r.Document, columns)); !same(ours, normal(theirs)) {
				t.Errorf("%s at %d columns: ours\n%s\ntheirs\n%s", name, columns, ours, normal(theirs))
			}
		}
	}
}

// printed has our simulated printer print bytes. It reads them with a decoder of its own.
func printed(t *testing.T, columns int, data []byte) string {
	t.Helper()
	p := devicesim.NewPrinter(devicesim.PrinterOptions{Columns: columns})
	ours, theirs := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(t.Context(), theirs) }()
	go func() { _, _ = io.Copy(io.Discard, ours) }()
	if _, err := ours.Write(data); err != nil {
		t.Fatal(err)
	}
	_ = ours.Close()
	<-ended
	if g := p.Garbage(); len(g) > 0 {
		t.Errorf("not understood: %q", g)
	}
	return p.Paper()
}

// normal is a paper without what the two do differently on purpose: the sign of rules, and empty lines at the end.
func normal(paper string) string {
	return strings.TrimRight(strings.ReplaceAll(paper, "─", "-"), "\n")
}
