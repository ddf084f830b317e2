package register

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"storeagent/devices/printer"
	"storeagent/internal/journal"
	"storeagent/payments"
	"storeagent/register/receipt"
)

// layOut is the use case "print this sale": the sale and the payments its tenders name, as a document for lines of
// that width.
func (s *Server) layOut(ctx context.Context, id string, columns int) (printer.Document, error) {
	view, err := s.cfg.Sales.Sale(ctx, id)
	if errors.Is(err, journal.ErrNotFound) {
		no := invalid(field("saleId", "names no accepted sale"))
		no.hint = "Use the id that POST /v1/sales answered with."
		return nil, no
	}
	if err != nil {
		return nil, err
	}
	var paid []payments.Payment
	for _, t := range view.Tenders {
		if t.PaymentID == "" {
			continue
		}
		p, err := s.cfg.Payments.Payment(ctx, t.PaymentID)
		if err != nil {
			return nil, err
		}
		paid = append(paid, p)
	}
	doc, err := receipt.Layout(receipt.Input{
		Store: s.receiptStore(), Sale: view.Sale, TransactionID: view.TransactionID, Currency: view.Currency,
		Tenders: view.Tenders, Payments: paid, Columns: columns,
	})
	if err != nil {
		no := refuse(http.StatusUnprocessableEntity, "unprintable_sale", "This sale cannot be laid out for that line width.",
			"Use a printer or a preview with at least 20 columns, or send a document of your own.")
		no.cause = err
		return nil, no
	}
	return doc, nil
}

// receiptStore is the head of every receipt.
func (s *Server) receiptStore() receipt.Store {
	head := receipt.Store{Name: s.cfg.StoreName, TaxID: s.cfg.TaxID}
	if s.cfg.StoreAddress != "" {
		head.Address = strings.Split(s.cfg.StoreAddress, "\n")
	}
	return head
}
