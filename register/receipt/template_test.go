package receipt_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"storeagent/devices/printer"
	"storeagent/payments"
	"storeagent/register/receipt"
)

// TestOwnTemplate holds that a shop's own layout is used, with every function.
func TestOwnTemplate(t *testing.T) {
	o := shop("de-DE")
	o.TemplateName = "own.tmpl"
	o.Words = map[string]string{"total": "Endbetrag"}
	o.Template = `{{.Store.Name}}|
{{range .Lines}}|{{.Name}} {{qty .Quantity}} | {{amount .Amount}}
{{end}}|"{{upper (word "total")}} | "{{money .Total}}
|{{date .At}} / {{time .At}} / {{mask .ID}}{{if .Total.Negative}} back{{end}}
|{{.At}} {{.Total}} {{printf "%5.1f|" 1.0 | print | len}}
`
	r, err := form(t, o).Layout(receipt.Input{Sale: json.RawMessage(refundSale), Columns: 32, Currency: "EUR"})
	if err != nil || r.Problem != nil {
		t.Fatal(err, r.Problem)
	}
	want := `                     Corner Shop
Lays Chips 13 o            -3,98
z -1
ENDBETRAG                -3,98` + "\u00a0" + `€
15.09.2021 / 04:50 / ******0003
back
2021-09-15T04:50:00 -3.98 6
- - - - - - - - - - - - - - - -
`
	if got := printer.PreviewText(r.Document, 32); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestBrokenTemplate holds that a template that cannot work is refused before the first customer, with its line.
func TestBrokenTemplate(t *testing.T) {
	for _, c := range []struct {
		text, words string
		line        int
	}{
		{"a\n{{if}}", "missing value for if", 2},
		{"a\n\n{{range .Lines}}", "unexpected EOF", 3},
		{"a\n{{nothing .}}", `"nothing" not defined`, 2},
		{"a\n{{.Store.Nom}}", "can't evaluate field Nom", 2},
		{"a\n{{range .Lines}}\n{{.Prise}}{{end}}", "can't evaluate field Prise", 3},
		{"a\n{{word \"totl\"}}", `there is no word "totl"`, 2},
		{"a\nb\n{{if .Refund}}\n{align:middle}\n{{end}}", "align is left, center or right", 4},
		{"a\n{{range .Slips}}{{range .Lines}}\n{x:{{.}}}{{end}}{{end}}", "device command", 3},
		{"{{/* a\n comment */}}\n{{- .Store.Name}}\n{code:äöü}\n", "code128 takes printable ASCII", 4},
		{"a\n{{range 2000000000}}{{end}}", "does not come to an end", 2},
		{"a\n{{$n := 1000}}{{range $n}}{{range $n}}{{range $n}}{{end}}{{end}}{{end}}", "does not come to an end", 2},
		{"{{define \"a\"}}{{template \"a\"}}{{template \"a\"}}{{end}}\n{{template \"a\"}}", "", 1},
		{"{{define \"a\"}}{{if .}}{{template \"a\" (slice . 1)}}{{template \"a\" (slice . 1)}}{{end}}{{end}}\n{{template \"a\" \"" + strings.Repeat("a", 60) + "\"}}", "does not come to an end", 1},
		{"{{range 100000}}" + strings.Repeat("a", 100) + "{{end}}", "more than a receipt", 1},
		{"{{/* nothing */}}{text:word}{{if .Duplicate}}\n{{end}}x", "among text", 1},
		{strings.Repeat(" ", receipt.MaxTemplate+1), "bytes", 0},
	} {
		o := shop("")
		o.Template, o.TemplateName = c.text, "own.tmpl"
		f, err := receipt.NewForm(o)
		var bad *receipt.OptionError
		if !errors.As(err, &bad) || bad.Option != "template" || bad.Line != c.line || !strings.Contains(bad.Message, c.words) {
			t.Errorf("%.60q: got %v, want line %d: %s", c.text, err, c.line, c.words)
		}
		if err != nil && f != nil {
			t.Errorf("%.60q: a form was made", c.text)
		}
	}
}

// TestTemplateFails holds that a sale that its template cannot be run on is printed all the same.
func TestTemplateFails(t *testing.T) {
	o := shop("")
	o.Template, o.TemplateName = "{{.Store.Name}}\n{{range .Lines}}{{if eq .SKU \"LAYS002\"}}\n{{slice .Name 1 100}}{{end}}{{end}}\n", "own.tmpl"
	f := form(t, o)
	r, err := f.Layout(receipt.Input{Sale: json.RawMessage(simpleSale), Columns: 42, Currency: "USD"})
	if err != nil || r.Problem != nil {
		t.Fatal(err, r.Problem)
	}
	r, err = f.Layout(receipt.Input{Sale: json.RawMessage(refundSale), Columns: 42, Currency: "USD"})
	if err != nil {
		t.Fatal(err)
	}
	var bad *receipt.OptionError
	if !errors.As(r.Problem, &bad) || bad.Line != 3 || strings.Contains(bad.Error(), "Lays") {
		t.Errorf("problem: %v", r.Problem)
	}
	plain, err := form(t, shop("")).Layout(receipt.Input{Sale: json.RawMessage(refundSale), Columns: 42, Currency: "USD"})
	if err != nil || printer.PreviewText(r.Document, 42) != printer.PreviewText(plain.Document, 42) {
		t.Error("the built-in layout was not used")
	}
}

// TestBuiltinIsATemplate holds that the template to begin with is one, and makes the same receipt.
func TestBuiltinIsATemplate(t *testing.T) {
	o := shop("")
	builtin := form(t, o)
	o.Template, o.TemplateName = receipt.BuiltinTemplate(), "own.tmpl"
	own := form(t, o)
	for _, kind := range receipt.SampleKinds() {
		in := receipt.Sample(kind, "USD", 42)
		a, err := builtin.Layout(in)
		if err != nil {
			t.Fatal(err)
		}
		b, err := own.Layout(in)
		if err != nil || b.Problem != nil || printer.PreviewText(a.Document, 42) != printer.PreviewText(b.Document, 42) {
			t.Errorf("%s: %v %v", kind, err, b.Problem)
		}
	}
}

// TestLargestSale holds that the largest sale there can be has a receipt, on the narrowest paper.
func TestLargestSale(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"transactionId":"1","payAmount":"999999999999.99","subTotal":"1","taxAmount":"1","saleDiscountAmount":"1","lineItems":[`)
	for i := range 1000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":"A","name":%q,"isRefund":true,"refundTransactionId":"1","quantity":"2.5","unitPrice":"1.123456","extPrice":"999999999999.99","itemDiscountAmount":"1"}`, strings.Repeat("ä wört ", 70))
	}
	b.WriteString(`]}`)
	for _, columns := range []int{20, 32} {
		r, err := form(t, shop("de-DE")).Layout(receipt.Input{Sale: json.RawMessage(b.String()), Columns: columns, Currency: "EUR"})
		if err != nil {
			t.Fatal(err)
		}
		if err := printer.Check(r.Document, columns); err != nil {
			t.Error(err)
		}
	}
}

// TestNothingOfASaleIsLayout holds that texts of a sale are printed as they are, whatever they look like.
func TestNothingOfASaleIsLayout(t *testing.T) {
	names := []string{"---", "===", "{code:1}", "a|b", "^^^x", "\\n", "~_~", "`\"", "  two blanks", "-", "=", "\\x41", "x;y"}
	for _, name := range names {
		body, err := json.Marshal(map[string]any{"transactionId": name, "payAmount": "1", "lineItems": []any{map[string]any{"name": name, "sku": name, "extPrice": "1"}}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := form(t, receipt.Options{Store: receipt.Store{Name: name, Address: []string{name}, Footer: []string{name}}}).Layout(
			receipt.Input{Sale: body, Columns: 42, Payments: []payments.Payment{}})
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for l := range strings.SplitSeq(printer.PreviewText(r.Document, 42), "\n") {
			if l = strings.TrimSuffix(l, "1.00"); strings.TrimSpace(strings.TrimSuffix(l, " 1")) == strings.TrimSpace(name) {
				seen++
			}
		}
		if seen < 4 { // name, address, line, foot
			t.Errorf("%q is %d times on the paper:\n%s", name, seen, printer.PreviewText(r.Document, 42))
		}
	}
}

// FuzzTemplate holds that no template makes NewForm hang or panic, and that one that was taken lays every sample out.
func FuzzTemplate(f *testing.F) {
	f.Add(receipt.BuiltinTemplate())
	f.Add("{{define \"a\"}}{{.}}{{end}}{{range .Lines}}{{template \"a\" .Name}}|{{amount .Amount}}\n{{else}}x{{end}}{{block \"b\" .}}{{break}}{{end}}")
	f.Add("{{range $i, $l := .Lines}}{{if $i}}{{continue}}{{end}}{{$l.SKU}}{{else with .Logo}}{{end}}\n{{printf \"%v\" .}}")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "printf") && strings.ContainsAny(text, "0123456789") {
			return // a width of a million blanks is only slow
		}
		form, err := receipt.NewForm(receipt.Options{Currency: "USD", Template: text, TemplateName: "own.tmpl"})
		if err != nil || text == "" {
			return
		}
		for _, kind := range receipt.SampleKinds() {
			if r, err := form.Layout(receipt.Sample(kind, "USD", 42)); err != nil || r.Problem != nil {
				t.Fatal(err, r.Problem)
			}
		}
	})
}
