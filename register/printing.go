package register

import (
	"context"
	"encoding/json"
	"net/http"

	"storeagent/devices/printer"
	"storeagent/internal/carddata"
	"storeagent/internal/journal"
	"storeagent/register/wire"
)

// content turns the body of a print job or preview into what the printer floor takes.
func (s *Server) content(ctx context.Context, in wire.PrintRequest, columns int) (printer.Request, error) {
	var r printer.Request
	given := 0
	for _, is := range []bool{in.Document != nil, in.SaleID != "", len(in.Raw) > 0, in.ReceiptLine != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		return r, invalid(field("body", "needs exactly one of document, saleId, raw and receiptLine"))
	}
	r.Copies = max(in.Copies, 1)
	if in.Duplicate && in.SaleID == "" {
		return r, invalid(field("duplicate", "goes with saleId; other content says so itself"))
	}
	switch {
	case in.ReceiptLine != "":
		doc, err := markup(in.ReceiptLine, columns)
		if err != nil {
			return r, err
		}
		r.Document = doc
	case len(in.Raw) > 0:
		if in.OpenDrawer {
			return r, invalid(field("openDrawer", "goes with document and saleId; raw bytes open the drawer themselves"))
		}
		if carddata.LooksLikeCard(string(in.Raw), nil) {
			no := refuse(http.StatusUnprocessableEntity, "card_data_refused", "The printer bytes hold what looks like a card number.",
				"Mask card numbers to their last four digits before printing.")
			no.fields = []wire.FieldError{field("raw", "holds what looks like a card number")}
			return r, no
		}
		r.Raw = in.Raw
		return r, nil
	case in.SaleID != "":
		doc, err := s.layOut(ctx, in.SaleID, columns, in.Duplicate)
		if err != nil {
			return r, err
		}
		r.Document, r.SaleID = doc, in.SaleID
	default:
		var sent struct {
			Document json.RawMessage `json:"document"`
		}
		if err := json.Unmarshal(callOf(ctx).body, &sent); err != nil {
			return r, err
		}
		doc, err := printer.ParseDocument(sent.Document)
		if err != nil {
			return r, err
		}
		r.Document = doc
	}
	if in.OpenDrawer {
		r.Document = append(printer.Document{{Op: "drawer"}}, r.Document...)
	}
	return r, nil
}

func (s *Server) postPrintJob(ctx context.Context, in *struct {
	Name string `path:"name" maxLength:"100"`
	Body wire.PrintRequest
}) (*answer[wire.JobAccepted], error) {
	columns, err := s.cfg.Printing.Columns(in.Name)
	if err != nil {
		return nil, err
	}
	r, err := s.content(ctx, in.Body, columns)
	if err != nil {
		return nil, err
	}
	r.Printer = in.Name
	var out *answer[wire.JobAccepted]
	if _, err := s.cfg.Printing.Submit(durable(ctx), r, s.jobEntry(ctx, &out)); err != nil {
		return nil, refusedDocument(err, in.Body, columns)
	}
	return out, nil
}

// jobEntry answers a new job in the commit that writes it.
func (s *Server) jobEntry(ctx context.Context, out **answer[wire.JobAccepted]) func(printer.Job) journal.Entry {
	c := callOf(ctx)
	return func(j printer.Job) journal.Entry {
		*out = &answer[wire.JobAccepted]{Status: http.StatusAccepted, Location: "/v1/print-jobs/" + j.ID, Body: wire.JobAccepted{ID: j.ID, State: j.State}}
		return c.entry((*out).Status, (*out).Location, (*out).Body)
	}
}

func (s *Server) getPrintJob(ctx context.Context, in *waitInput) (*answer[printer.Job], error) {
	var j printer.Job
	var err error
	if in.Wait > 0 {
		waiting, cancel := s.waiting(ctx, in.Wait)
		defer cancel()
		j, err = s.cfg.Printing.Wait(waiting, in.ID)
	} else {
		j, err = s.cfg.Printing.Job(ctx, in.ID)
	}
	if err != nil {
		return nil, err
	}
	return ok(j), nil
}

func (s *Server) reprint(ctx context.Context, in *byID) (*answer[wire.JobAccepted], error) {
	var out *answer[wire.JobAccepted]
	if _, err := s.cfg.Printing.Reprint(durable(ctx), in.ID, s.jobEntry(ctx, &out)); err != nil {
		return nil, err
	}
	return out, nil
}
