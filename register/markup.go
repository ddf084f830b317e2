package register

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"storeagent/devices/printer"
	"storeagent/devices/printer/receiptline"
	"storeagent/internal/carddata"
	"storeagent/register/wire"
)

// markup lays ReceiptLine text out. The text itself was looked at for card numbers with the rest of the body; here it
// is what the escapes and decorations of the language leave on the paper.
func markup(text string, columns int) (printer.Document, error) {
	r, err := receiptline.Parse(text, columns)
	if err != nil {
		return nil, refuseMarkup(err)
	}
	for i, op := range r.Document {
		if showsCard(op, columns) {
			no := refuse(http.StatusUnprocessableEntity, "card_data_refused", "The receipt holds what looks like a card number.",
				"Mask card numbers to their last four digits before printing.")
			no.fields = []wire.FieldError{field("receiptLine", fmt.Sprintf("line %d: holds what looks like a card number", r.Line(i)))}
			return nil, no
		}
	}
	return r.Document, nil
}

// refuseMarkup names the line that cannot be printed.
func refuseMarkup(err error) error {
	var bad *receiptline.Error
	if !errors.As(err, &bad) {
		return err
	}
	no := refuse(http.StatusUnprocessableEntity, "invalid_receipt_line", "The ReceiptLine text cannot be printed as it is.",
		"Correct the line named in errors and send it again; docs/receipt.md describes the language.")
	no.fields = []wire.FieldError{field("receiptLine", fmt.Sprintf("line %d: %s", bad.Line, unquoted(bad.Message)))}
	return no
}

// refusedDocument turns a driver's refusal of a document into one about the ReceiptLine text that it was made of.
func refusedDocument(err error, in wire.PrintRequest, columns int) error {
	var bad *printer.DocumentError
	if in.ReceiptLine == "" || !errors.As(err, &bad) {
		return err
	}
	r, parseErr := receiptline.Parse(in.ReceiptLine, columns)
	if parseErr != nil {
		return err
	}
	if in.OpenDrawer { // stands before the operations of the text
		var n int
		if _, scanErr := fmt.Sscanf(bad.Field, "document[%d]", &n); scanErr != nil || n == 0 {
			return err
		}
		_, rest, _ := strings.Cut(bad.Field, "]")
		bad = &printer.DocumentError{Field: fmt.Sprintf("document[%d]%s", n-1, rest), Message: bad.Message}
	}
	return refuseMarkup(r.Explain(bad))
}

// showsCard reports whether an operation puts on paper what looks like a card number.
func showsCard(op printer.Op, columns int) bool {
	if carddata.LooksLikeCard(op.Text, nil) || op.Op == "qrcode" && carddata.LooksLikeCard(op.Data, nil) ||
		op.Op == "barcode" && carddata.LooksLikeCard(op.Data, nil) {
		return true
	}
	for _, line := range printer.ColumnLines(op.Cells, columns) {
		var b strings.Builder
		for _, span := range line {
			b.WriteString(span.Text)
		}
		if carddata.LooksLikeCard(b.String(), nil) {
			return true
		}
	}
	return false
}
