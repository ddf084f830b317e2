package wire

import (
	"bytes"
	"encoding/json"
	"time"

	"storeagent/devices/printer"
	"storeagent/devices/scanner/gs1"
	"storeagent/offline/catalogue"
)

// Op is one operation of a print document. It is printer.Op with one difference in JSON: on a barcode, text is true
// or false (digits below the bars) and fills ShowText.
type Op printer.Op

// UnmarshalJSON reads an operation with either meaning of text.
func (o *Op) UnmarshalJSON(data []byte) error {
	type plain printer.Op
	in := struct {
		Text json.RawMessage `json:"text"`
		*plain
	}{plain: (*plain)(o)}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	text := bytes.TrimSpace(in.Text)
	switch {
	case len(text) == 0, bytes.Equal(text, []byte("null")):
		return nil
	case text[0] == '"':
		return json.Unmarshal(text, &o.Text)
	}
	return json.Unmarshal(text, &o.ShowText)
}

// Content is what to print: exactly one of its fields.
type Content struct {
	Document    []Op   `json:"document,omitempty" nullable:"false"`
	SaleID      string `json:"saleId,omitempty" maxLength:"100" doc:"The agent lays out that sale"`
	Raw         []byte `json:"raw,omitempty" doc:"Printer bytes sent as they are, base64"`
	ReceiptLine string `json:"receiptLine,omitempty" doc:"ReceiptLine text"`
}

// PrintRequest is the body of POST /v1/printers/{name}/jobs.
type PrintRequest struct {
	Content
	Copies     int  `json:"copies,omitempty" minimum:"1" maximum:"10" doc:"Default: 1"`
	OpenDrawer bool `json:"openDrawer,omitempty" doc:"Open the cash drawer before printing"`
	Duplicate  bool `json:"duplicate,omitempty" doc:"With saleId: the paper says that it is a duplicate"`
}

// PreviewRequest is the body of POST /v1/receipts/preview.
type PreviewRequest struct {
	PrintRequest
	Printer string `json:"printer,omitempty" maxLength:"100" doc:"Whose line width to use"`
	Columns int    `json:"columns,omitempty" minimum:"16" maximum:"96" doc:"Line width in characters; default: the printer's, else 42"`
}

// JobAccepted answers a print job: it is on disk and handed to its printer.
type JobAccepted struct {
	ID    string           `json:"id"`
	State printer.JobState `json:"state" enum:"queued,sending,printed,sent,blocked,failed,unknown"`
}

// Claim is a scanner held by one pairing.
type Claim struct {
	ClaimID   string    `json:"claimId"`
	Scanner   string    `json:"scanner"`
	ExpiresAt time.Time `json:"expiresAt" doc:"Claim again before then to keep it"`
}

// ClaimState is GET /v1/scanners/{name}/claim.
type ClaimState struct {
	Scanner   string     `json:"scanner"`
	Claimed   bool       `json:"claimed"`
	Mine      bool       `json:"mine" doc:"Held by the caller's pairing"`
	ClaimID   string     `json:"claimId,omitempty" doc:"Only shown to its holder"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

// Scan is the data of a scan event.
type Scan struct {
	Scanner    string `json:"scanner"`
	Symbology  string `json:"symbology"`
	AIM        string `json:"aim,omitempty"`
	Data       string `json:"data" doc:"The text without AIM identifier; masked for a gift card"`
	DataBase64 []byte `json:"dataBase64,omitempty" doc:"The same bytes; absent for a gift card"`
	GTIN       string `json:"gtin,omitempty" doc:"14 digits"`
	CodeRef    string `json:"codeRef,omitempty" doc:"Of a gift card: stands for its code in the gift card calls, for 10 minutes"`

	GS1         map[string]string `json:"gs1,omitempty" doc:"Values by application identifier"`
	GS1Errors   []gs1.Fault       `json:"gs1Errors,omitempty" doc:"What is wrong with the element strings; then there is no gs1"`
	GS1Warnings []gs1.Fault       `json:"gs1Warnings,omitempty" doc:"Identifiers without the company they need"`
	Weight      string            `json:"weight,omitempty" doc:"Net weight in kilograms, from the code itself"`
	Price       string            `json:"price,omitempty" doc:"Amount payable from the code itself, else the item's price; a decimal text"`

	Item *catalogue.ItemView `json:"item,omitempty" doc:"Where the local copy has exactly one item for the code"`

	Kind string    `json:"kind" enum:"item,giftcard,digitalLink,unknown"`
	At   time.Time `json:"at"`
}

// Event is one message of GET /v1/events.
type Event struct {
	ID   int64
	Type string
	Data json.RawMessage
}
