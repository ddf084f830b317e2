package nexo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"storeagent/devices"
	"storeagent/payments"
	"storeagent/payments/money"
)

// Time limits around a payment. The terminal itself gives up after 120 seconds (Adyen documentation, "Timeouts").
const (
	graceAfterLimit = 15 * time.Second // what a terminal that was told to stop may still take
	abortEvery      = 5 * time.Second  // a stop that came too early for the terminal is asked for again
	abortTimes      = 3
)

// Do implements payments.Terminal: Payment for sales and refunds, Reversal for what works on an earlier payment.
func (t *Terminal) Do(ctx context.Context, txn payments.Txn, ev payments.Events) error {
	msg, err := t.moneyMessage(txn, time.Now())
	if err != nil {
		return notSent(err)
	}
	began := false
	err = t.task(ctx, func(ctx context.Context) error {
		began = true
		return t.pay(ctx, msg, txn, ev)
	})
	if err != nil && !began {
		return notSent(err)
	}
	if err != nil {
		t.wake() // the terminal may be gone, or not ready any more
	}
	return err
}

// notSent says that err left nothing charged.
func notSent(err error) error { return fmt.Errorf("%w: %w", payments.ErrNotSent, err) }

// moneyMessage builds the message of a transaction. Its ServiceID is the reference under which the transaction is on
// disk already.
func (t *Terminal) moneyMessage(txn payments.Txn, now time.Time) (request, error) {
	if len(txn.Ref) == 0 || len(txn.Ref) > 10 {
		return request{}, fmt.Errorf("reference %q: want up to ten characters", txn.Ref)
	}
	if txn.Amount.Sign() <= 0 || txn.Amount.Currency() == "" {
		return request{}, fmt.Errorf("amount %s: want a positive amount with a currency", txn.Amount)
	}
	sale := saleData{SaleTransactionID: transactionID{TransactionID: txn.Ref, TimeStamp: now.UTC().Format("2006-01-02T15:04:05.000Z07:00")}}
	switch {
	case txn.Kind == payments.DoSale, txn.Kind == payments.DoRefund && txn.Original == nil:
		p := &paymentRequest{SaleData: sale, PaymentTransaction: paymentTransaction{
			AmountsReq: amountsReq{Currency: txn.Amount.Currency(), RequestedAmount: json.Number(txn.Amount.String())},
		}}
		if txn.Tip != (money.Amount{}) { // the requested amount holds it
			p.PaymentTransaction.AmountsReq.TipAmount = json.Number(txn.Tip.String())
		}
		if txn.Kind == payments.DoRefund {
			p.PaymentData = &paymentData{PaymentType: "Refund"}
		}
		return request{MessageHeader: t.newHeader(catPayment, txn.Ref), PaymentRequest: p}, nil
	case txn.Kind == payments.DoRefund, txn.Kind == payments.DoVoid && txn.Original != nil && txn.Original.Kind != payments.DoRefund:
		original, err := parseReference(txn.Original.Reference)
		if err != nil {
			return request{}, err
		}
		r := &reversalRequest{SaleData: &sale, OriginalPOITransaction: originalTransaction{original}, ReversalReason: "MerchantCancel"}
		if txn.Kind == payments.DoRefund {
			r.ReversedAmount = json.Number(txn.Amount.String())
			sale.SaleToAcquirerData = "currency=" + txn.Amount.Currency() // the message has no field for it
		}
		return request{MessageHeader: t.newHeader(catReversal, txn.Ref), ReversalRequest: r}, nil
	}
	return request{}, fmt.Errorf("%s: %w", txn.Kind, payments.ErrUnsupported)
}

// reference is what a later reversal needs to name a transaction: the terminal's id and time of it.
func reference(id transactionID) string {
	if id.TransactionID == "" {
		return ""
	}
	return id.TransactionID + " " + id.TimeStamp
}

func parseReference(text string) (transactionID, error) {
	id, at, ok := strings.Cut(text, " ")
	if !ok || id == "" || at == "" {
		return transactionID{}, errors.New("the terminal gave no transaction id for the original payment")
	}
	return transactionID{TransactionID: id, TimeStamp: at}, nil
}

// pay sends the message and reports how it ended.
func (t *Terminal) pay(ctx context.Context, msg request, txn payments.Txn, ev payments.Events) error {
	conn, err := t.dial(ctx)
	if err != nil {
		return notSent(err)
	}
	select {
	case <-t.abort: // meant for an earlier payment
	default:
	}
	t.paying.Store(true)
	defer t.paying.Store(false)
	if err := ev.Sending(t.newest()); err != nil {
		_ = conn.Close() // nothing was said on it
		return fmt.Errorf("%w: commit before sending: %w", payments.ErrNotSent, err)
	}
	t.link.SetState(devices.Busy, devices.Status{})
	defer t.link.SetState(devices.Ready, devices.Status{Text: "ready"})
	talk := &talk{t: t, msg: msg, ev: ev, wrote: make(chan struct{})}
	r, err := talk.run(ctx, func(ctx context.Context) (response, error) {
		return t.exchange(ctx, conn, msg, func() { close(talk.wrote) })
	})
	if err != nil {
		return fmt.Errorf("payment at terminal: %w", err)
	}
	return t.finish(ctx, body{r.PaymentResponse, r.ReversalResponse}, txn, ev)
}

// talk is one money message on its way.
type talk struct {
	t     *Terminal
	msg   request
	ev    payments.Events
	wrote chan struct{} // closed once the message is on the wire
}

// run sends and waits for the answer; meanwhile it passes on the wish to stop, its own at the time limit.
func (k *talk) run(ctx context.Context, send func(context.Context) (response, error)) (response, error) {
	ctx, cancel := context.WithCancel(ctx)
	type answer struct {
		r   response
		err error
	}
	answered := make(chan answer, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		r, err := send(ctx)
		answered <- answer{r, err}
	})
	limit := time.NewTimer(k.t.timeout)
	defer limit.Stop()
	wrote, stopping, over := k.wrote, false, false
	stop := func() {
		if !stopping {
			stopping = true
			wg.Go(func() { k.stop(ctx) })
		}
	}
	for {
		select {
		case <-wrote:
			wrote = nil
			k.ev.Prompt(k.prompt())
		case <-k.t.abort:
			stop()
		case <-limit.C:
			if over {
				cancel()
				continue // the exchange ends now
			}
			over = true
			stop()
			limit.Reset(graceAfterLimit)
		case a := <-answered:
			return a.r, a.err
		}
	}
}

// prompt is the one thing we know of what goes on: the terminal now asks for the card, or works on a reversal.
func (k *talk) prompt() payments.Prompt {
	if k.msg.ReversalRequest != nil {
		return payments.Prompt{Code: "wait", Text: "the terminal takes the payment back"}
	}
	return payments.Prompt{Code: "insert_card", Text: "follow the terminal's display"}
}

// stop asks the terminal to end the payment. An abort is answered with nothing; whether it helped shows in the
// payment's own answer.
func (k *talk) stop(ctx context.Context) {
	select {
	case <-k.wrote:
	case <-ctx.Done():
		return
	}
	h := k.msg.MessageHeader
	for range abortTimes {
		_, err := k.t.ask(ctx, request{
			MessageHeader: k.t.newHeader(catAbort, payments.NewRef(time.Now())),
			AbortRequest: &abortRequest{AbortReason: "MerchantAbort", MessageReference: messageReference{
				MessageCategory: h.MessageCategory, SaleID: h.SaleID, ServiceID: h.ServiceID,
			}},
		})
		if err != nil && !errors.Is(err, errEmpty) && ctx.Err() == nil {
			k.t.log.Warn("cannot ask the terminal to stop", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(abortEvery):
		}
	}
}

// body is an answer to a money message: one of the two.
type body struct {
	payment  *paymentResponse
	reversal *reversalResponse
}

// finish commits what the terminal said.
func (t *Terminal) finish(ctx context.Context, b body, txn payments.Txn, ev payments.Events) error {
	if b.payment != nil && b.payment.Response.Result == resultFailure && b.payment.Response.ErrorCondition == condBusy {
		return notSent(fmt.Errorf("%w: %s", payments.ErrTerminalBusy, b.payment.Response.text()))
	}
	out, list, err := b.outcome(txn)
	if err != nil {
		return err
	}
	if out.Decline != nil && out.Decline.Code == condLoggedOut {
		t.setLoggedIn(false)
		t.wake()
	}
	if err := ev.CommitOutcome(out); err != nil {
		return fmt.Errorf("commit outcome: %w", err)
	}
	t.remember(out.Baseline)
	receipt, _ := slips(list)
	if len(receipt.Customer)+len(receipt.Merchant) == 0 {
		return nil
	}
	if !t.prints {
		t.printAll(ctx, receipt)
		return nil
	}
	if err := ev.CommitReceipt(receipt); err != nil {
		return fmt.Errorf("commit receipt: %w", err)
	}
	return nil
}

// outcome reads the answer to a money message. An error means that it says nothing certain.
func (b body) outcome(txn payments.Txn) (payments.Outcome, []paymentReceipt, error) {
	switch {
	case b.payment != nil:
		out, err := b.payment.outcome(txn)
		return out, b.payment.PaymentReceipt, err
	case b.reversal != nil:
		out, err := b.reversal.outcome(txn)
		return out, b.reversal.PaymentReceipt, err
	}
	return payments.Outcome{}, nil, errors.New("answer of the terminal holds no result")
}

func (p *paymentResponse) outcome(txn payments.Txn) (payments.Outcome, error) {
	card := p.PaymentResult.PaymentInstrumentData.CardData
	out := payments.Outcome{
		CardBrand: mask(card.PaymentBrand), Last4: string(card.MaskedPan),
		ApprovalCode:      mask(p.PaymentResult.PaymentAcquirerData.ApprovalCode),
		TerminalReference: p.POIData.POITransactionID.TransactionID,
		Reference:         reference(p.POIData.POITransactionID),
		Baseline:          payments.Baseline{Known: true, Receipt: p.POIData.POITransactionID.TransactionID, Trace: txn.Ref},
	}
	for _, m := range card.EntryMode {
		if out.EntryMode == "" {
			out.EntryMode = entryModes[m]
		}
	}
	for _, m := range p.PaymentResult.AuthenticationMethod {
		out.SignatureRequired = out.SignatureRequired || m == "PaperSignature"
	}
	_, signature := slips(p.PaymentReceipt)
	out.SignatureRequired = out.SignatureRequired || signature
	if err := end(&out, p.Response); err != nil || out.State != payments.Approved {
		return out, err
	}
	amount, err := readAmount(p.PaymentResult.AmountsResp, txn.Amount, p.Response.Result == resultPartial)
	out.ApprovedAmount = amount
	return out, err
}

// readAmount reads what was approved. Where the terminal leaves it out, a whole approval is what was asked for.
func readAmount(a amountsResp, asked money.Amount, partial bool) (money.Amount, error) {
	if a.Currency != "" && a.Currency != asked.Currency() {
		return money.Amount{}, fmt.Errorf("terminal approved in currency %s instead of %s", a.Currency, asked.Currency())
	}
	if a.AuthorizedAmount == "" {
		if partial {
			return money.Amount{}, errors.New("terminal approved a part and does not say how much")
		}
		return asked, nil
	}
	got, err := readNumber(a.AuthorizedAmount, asked.Currency())
	if err == nil && got.Sign() <= 0 {
		err = fmt.Errorf("terminal approved %s", got)
	}
	return got, err
}

// readNumber reads a JSON number as an exact amount; zeros behind the currency's decimals do not count.
func readNumber(n json.Number, currency string) (money.Amount, error) {
	text := n.String()
	if strings.Contains(text, ".") && !strings.ContainsAny(text, "eE") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	a, err := money.Parse(text, currency)
	if err != nil {
		return money.Amount{}, fmt.Errorf("amount %q of the terminal: %w", mask(n.String()), err)
	}
	return a, nil
}

// outcome of a reversal: success means that the terminal took it.
func (r *reversalResponse) outcome(txn payments.Txn) (payments.Outcome, error) {
	id := r.POIData.POITransactionID
	out := payments.Outcome{TerminalReference: id.TransactionID, Reference: reference(id), ApprovedAmount: txn.Amount}
	_, out.SignatureRequired = slips(r.PaymentReceipt)
	if err := end(&out, r.Response); err != nil || out.State != payments.Approved {
		return out, err
	}
	if r.ReversedAmount != "" {
		var err error
		if out.ApprovedAmount, err = readNumber(r.ReversedAmount, txn.Amount.Currency()); err != nil {
			return out, err
		}
	}
	if r.Response.Result == resultPartial && r.ReversedAmount == "" {
		return out, errors.New("terminal reversed a part and does not say how much")
	}
	return out, nil
}

// end writes result and condition into the outcome. What we do not know is no end.
func end(out *payments.Outcome, r result) error {
	switch r.Result {
	case resultSuccess, resultPartial:
		out.State = payments.Approved
		return nil
	case resultFailure:
	default:
		return fmt.Errorf("terminal answered with the unknown result %q", mask(r.Result))
	}
	c, ok := conditions[r.ErrorCondition]
	if !ok {
		return fmt.Errorf("terminal failed with the condition %q, which says nothing certain", mask(r.ErrorCondition))
	}
	out.State, out.ApprovalCode = c.state, ""
	out.Decline = &payments.Decline{Code: r.ErrorCondition, Message: r.text()}
	return nil
}

// remember keeps the newest payment that the terminal surely knows; recovery asks for it to see whether the terminal
// lost its memory.
func (t *Terminal) remember(b payments.Baseline) {
	if !b.Known {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = b
}

func (t *Terminal) newest() payments.Baseline {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}
