package receipt

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"storeagent/devices/printer"
	"storeagent/devices/printer/receiptline"
)

// Store is what heads and ends a receipt.
type Store struct {
	Name    string
	Address []string // lines
	TaxID   string
	Footer  []string // lines
}

// Options are what a store decides about its receipts.
type Options struct {
	Store    Store
	Locale   string         // BCP 47; "" is en-US
	Location *time.Location // of the store; nil is UTC
	Currency string         // of the receipts that a template is tried on
	Logo     []byte         // PNG; nil for none
	// StoredLogo is the key code of an image in the printer's own memory, which heads each receipt in place of Logo; "" for
	// none. Printers that keep no images refuse such a receipt.
	StoredLogo string
	Words      map[string]string
	// Template is the text of the store's own layout, "" for the one built in; TemplateName names it in errors.
	Template     string
	TemplateName string
}

// MaxLogo is the most bytes that a logo has.
const MaxLogo = 256 << 10

// MaxTemplate is the most bytes that a template has.
const MaxTemplate = 256 << 10

// OptionError refuses one of the Options.
type OptionError struct {
	Option  string // locale, logo, stored_logo, template or words.NAME
	Line    int    // of the template, 0 where none is to blame
	Message string
	Hint    string
}

func (e *OptionError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s, line %d: %s", e.Option, e.Line, e.Message)
	}
	return e.Option + ": " + e.Message
}

// Form lays receipts out the way a store wants them. It is safe for concurrent use.
type Form struct {
	options Options
	locale  *locale
	logo    string // base64
	own     *layout
	builtin *layout
}

// NewForm checks the options, and tries the template on receipts of every kind. Errors are *OptionError.
func NewForm(o Options) (*Form, error) {
	if o.Location == nil {
		o.Location = time.UTC
	}
	f := &Form{options: o}
	var err error
	if f.locale, err = newLocale(o.Locale, o.Words); err != nil {
		return nil, err
	}
	if len(o.Logo) > 0 {
		if len(o.Logo) > MaxLogo {
			return nil, &OptionError{Option: "logo", Message: fmt.Sprintf("has %d bytes, at most %d are taken", len(o.Logo), MaxLogo), Hint: "make the image smaller; 400 dots are wide enough"}
		}
		if err := printer.Check(printer.Document{{Op: "image", PNG: o.Logo}}, minColumns); err != nil {
			return nil, &OptionError{Option: "logo", Message: "is no image that can be printed", Hint: "take a PNG of at most 500 by 500 dots, black on white"}
		}
		f.logo = base64.StdEncoding.EncodeToString(o.Logo)
	}
	switch {
	case o.StoredLogo == "":
	case !printer.ValidKey(o.StoredLogo):
		return nil, &OptionError{Option: "stored_logo", Message: "is not two characters from the space to ~", Hint: "take the key the logo was stored under, like LG"}
	case len(o.Logo) > 0:
		return nil, &OptionError{Option: "stored_logo", Message: "and logo are both set", Hint: "leave one of them out"}
	}
	if f.builtin, err = f.compile(builtinName, builtinText); err != nil {
		return nil, fmt.Errorf("layout that is built in: %w", err)
	}
	if o.Template == "" {
		return f, nil
	}
	if len(o.Template) > MaxTemplate {
		return nil, &OptionError{Option: "template", Message: fmt.Sprintf("has %d bytes, at most %d are taken", len(o.Template), MaxTemplate)}
	}
	if f.own, err = f.compile(o.TemplateName, o.Template); err != nil {
		return nil, err
	}
	if err := f.try(); err != nil {
		return nil, err
	}
	return f, nil
}

// Receipt is a sale laid out.
type Receipt struct {
	Document printer.Document
	// Problem is why the store's own template could not be used for this sale, and the layout built in was; nil where
	// all is well. It holds nothing of the sale.
	Problem error
}

// Layout makes the document. It fails only on a sale that can't be read, or on paper too narrow for a sum; where the
// store's own template fails the layout that is built in takes its place.
func (f *Form) Layout(in Input) (Receipt, error) {
	data, err := f.view(in)
	if err != nil {
		return Receipt{}, err
	}
	var problem error
	if f.own != nil {
		doc, err := f.own.lay(f, data)
		if err == nil {
			return Receipt{Document: doc}, nil
		}
		problem = err
	}
	doc, err := f.builtin.lay(f, data)
	if err != nil {
		return Receipt{}, fmt.Errorf("lay out receipt: %w", err)
	}
	return Receipt{doc, problem}, nil
}

// try lays out every kind of receipt, so that a mistake shows before the first customer.
func (f *Form) try() error {
	for _, columns := range []int{32, 42, 48} {
		for _, kind := range SampleKinds() {
			in := Sample(kind, f.options.Currency, columns)
			data, err := f.view(in)
			if err != nil {
				return err
			}
			if _, err := f.own.lay(f, data); err != nil {
				return err
			}
		}
	}
	return nil
}

// lay runs a layout on a sale.
func (l *layout) lay(f *Form, data *Data) (printer.Document, error) {
	text, lines, err := l.run(data)
	if err != nil {
		return nil, err
	}
	r, err := receiptline.Parse(text, data.Columns)
	if err != nil {
		return nil, l.blame(err, lines)
	}
	doc := r.Document
	if f.locale.rtl {
		doc = mirrored(doc)
	}
	if key := f.options.StoredLogo; key != "" {
		doc = slices.Insert(doc, 0, printer.Op{Op: "image", Stored: key, Align: "center"})
	}
	return doc, nil
}

// mirrored turns a document round for paper that is read from right to left. Codes and images stay where they are, and
// so do texts in Latin letters, such as the slip of a card terminal.
func mirrored(doc printer.Document) printer.Document {
	turn := map[string]string{"": "right", "left": "right", "center": "center", "right": "left"}
	for i := range doc {
		op := &doc[i]
		switch op.Op {
		case "text":
			if rightToLeft(op.Text) {
				op.Align = turn[op.Align]
			}
		case "columns":
			cells := make([]printer.Cell, len(op.Cells))
			for n, c := range op.Cells {
				c.Align = turn[c.Align]
				cells[len(cells)-1-n] = c
			}
			op.Cells = cells
		}
	}
	return doc
}

// rightToLeft reports whether a text holds letters that are.
func rightToLeft(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 0x590 && r <= 0x8FF || r >= 0xFB1D && r <= 0xFEFC })
}
