package register

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"storeagent/devices/printer"
	"storeagent/internal/journal"
	"storeagent/register/receipt"
	"storeagent/register/wire"
)

// layOut is the use case "print this sale": the sale and the payments its tenders name, as a document for lines of
// that width.
func (s *Server) layOut(ctx context.Context, id string, columns int, duplicate bool) (printer.Document, error) {
	view, err := s.cfg.Sales.Sale(ctx, id)
	if errors.Is(err, journal.ErrNotFound) {
		no := invalid(field("saleId", "names no accepted sale"))
		no.hint = "Use the id that POST /v1/sales answered with."
		return nil, no
	}
	if err != nil {
		return nil, err
	}
	in := receipt.Input{
		Sale: view.Sale, TransactionID: view.TransactionID, Kind: string(view.Kind), Currency: view.Currency,
		Tenders: view.Tenders, Duplicate: duplicate, Columns: columns,
	}
	for _, t := range view.Tenders {
		switch {
		case t.PaymentID != "":
			p, err := s.cfg.Payments.Payment(ctx, t.PaymentID)
			if err == nil {
				in.Payments = append(in.Payments, p)
			} else if !errors.Is(err, journal.ErrNotFound) { // too old to be kept; the receipt goes without
				return nil, err
			}
		case t.GiftcardTransactionID != "" && s.cfg.Giftcards != nil:
			g, err := s.cfg.Giftcards.Transaction(ctx, t.GiftcardTransactionID)
			if err == nil {
				in.Giftcards = append(in.Giftcards, g)
			} else if !errors.Is(err, journal.ErrNotFound) {
				return nil, err
			}
		}
	}
	laid, err := s.cfg.Receipts.Layout(in)
	if err != nil {
		no := refuse(http.StatusUnprocessableEntity, "unprintable_sale", "This sale cannot be laid out for that line width.",
			"Use a printer or a preview with at least 20 columns, or send a document of your own.")
		no.cause = err
		return nil, no
	}
	if s.template.set(laid.Problem) {
		s.cfg.Log.ErrorContext(ctx, "receipt template failed; the built-in layout was used", slog.String("saleId", id), slog.Any("error", laid.Problem))
	}
	return laid.Document, nil
}

// templateTrouble is why the store's own template could not be used for the last receipt.
type templateTrouble struct {
	mu  sync.Mutex
	now error
}

// set takes what came of the last receipt, and reports whether it is news to be logged.
func (t *templateTrouble) set(err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	news := err != nil && (t.now == nil || t.now.Error() != err.Error())
	t.now = err
	return news
}

func (t *templateTrouble) problems() []wire.StatusProblem {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		return nil
	}
	return []wire.StatusProblem{{Code: "receipt_template", Severity: "warning",
		Message: "The last receipt was printed in the built-in layout, because the store's own failed: " + t.now.Error() + ".",
		Hint:    "Correct the file that receipt.template names, try it with storeagent receipt, and start the agent again."}}
}
