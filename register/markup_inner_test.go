package register

import (
	"errors"
	"testing"

	"storeagent/devices/printer"
	"storeagent/register/wire"
)

// TestRefusedDocument holds that what only a driver refuses names the line of the text too.
func TestRefusedDocument(t *testing.T) {
	in := wire.PrintRequest{Content: wire.Content{ReceiptLine: "a\n\n|b\n"}, OpenDrawer: true}
	err := refusedDocument(&printer.DocumentError{Field: "document[3].text", Message: `has no character "b"`}, in, 42)
	r := explain(err)
	if len(r.fields) != 1 || r.fields[0].Location != "receiptLine" || r.fields[0].Message != "line 3: has no character …" {
		t.Errorf("%+v", r.fields)
	}
	in.OpenDrawer = false
	if r := explain(refusedDocument(&printer.DocumentError{Field: "document[0].text", Message: "m"}, in, 42)); r.fields[0].Message != "line 1: m" {
		t.Errorf("%+v", r.fields)
	}
	if err := refusedDocument(printer.ErrNoPrinter, in, 42); !errors.Is(err, printer.ErrNoPrinter) {
		t.Error(err)
	}
}
