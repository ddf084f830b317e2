package register

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"storeagent/internal/carddata"
	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/register/wire"
)

// Giftcards looks gift cards up, uses and fills them; *offline.GiftcardDesk is one.
type Giftcards interface {
	Lookup(ctx context.Context, c offline.CardRef) (offline.CardBalance, error)
	// Transact writes a transaction and waits a few seconds for its end. entry is called with the transaction to be
	// written. Errors: *offline.OfflineError, offline.ErrCardInDoubt, journal errors.
	Transact(ctx context.Context, r offline.CardRequest, by journal.Actor, entry func(offline.GiftcardView) journal.Entry) (offline.GiftcardView, error)
	Transaction(ctx context.Context, id string) (offline.GiftcardView, error)
	// Capture takes "" for the whole amount. Errors: offline.ErrState, *offline.AmountError, journal errors.
	Capture(ctx context.Context, id, amount string, entry func(offline.GiftcardView) journal.Entry) (offline.GiftcardView, error)
	Cancel(ctx context.Context, id string, entry func(offline.GiftcardView) journal.Entry) (offline.GiftcardView, error)
	Issue(ctx context.Context, c offline.CardRef) (offline.CardBalance, error)
	// Blind is a keyed hash, so that what holds a code and a PIN can be compared later and not guessed.
	Blind(ctx context.Context, text []byte) ([32]byte, error)
}

func giftcardRoutes() []*route {
	return []*route{
		{method: "POST", path: "/v1/giftcards/lookup", id: "lookupGiftcard", section: "giftcards", summary: "What a gift card holds",
			roles: selling, body: bodyNeeded, cards: true, status: 200, problems: []int{404, 409, 503}, add: handle((*Server).lookupGiftcard)},
		{method: "POST", path: "/v1/giftcards/transactions", id: "postGiftcardTransaction", section: "giftcards",
			summary: "Use or fill a gift card; waits a few seconds for the cloud's answer", roles: selling, key: true, body: bodyNeeded, cards: true,
			live: giftcardNow, status: 201, problems: []int{409, 503}, add: handle((*Server).postGiftcardTransaction)},
		{method: "GET", path: "/v1/giftcards/transactions/{id}", id: "getGiftcardTransaction", section: "giftcards", summary: "One gift card transaction",
			roles: selling, status: 200, problems: []int{404}, add: handle((*Server).getGiftcardTransaction)},
		{method: "POST", path: "/v1/giftcards/transactions/{id}/capture", id: "captureGiftcard", section: "giftcards", summary: "Collect an authorized amount",
			roles: selling, key: true, body: bodyMay, live: giftcardNow, status: 200, problems: []int{404, 409, 503}, add: handle((*Server).captureGiftcard)},
		{method: "POST", path: "/v1/giftcards/transactions/{id}/cancel", id: "cancelGiftcard", section: "giftcards",
			summary: "Withdraw what is still queued; let the hold of an authorization lapse", roles: selling, key: true, live: giftcardNow, status: 200,
			problems: []int{404, 409, 503}, add: handle((*Server).cancelGiftcard)},
		{method: "POST", path: "/v1/giftcards", id: "issueGiftcard", section: "giftcards", summary: "Make an unfunded gift card; only with the cloud there",
			roles: selling, key: true, body: bodyNeeded, cards: true, status: 201, problems: []int{409, 503}, add: handle((*Server).issueGiftcard)},
	}
}

// codeRefFor is how long a codeRef stands for a code, and codeRefsKept how many there are at most.
const (
	codeRefFor   = 10 * time.Minute
	codeRefsKept = 1000
)

// codeRefs stand for scanned gift card codes; they live in memory alone.
type codeRefs struct {
	mu    sync.Mutex
	codes map[string]string
	order []refAge // oldest first
}

type refAge struct {
	ref   string
	until time.Time
}

// put gives a fresh reference to a code.
func (c *codeRefs) put(code string, now time.Time) string {
	var b [18]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	ref := "cr_" + base64.RawURLEncoding.EncodeToString(b[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prune(now, codeRefsKept-1)
	if c.codes == nil {
		c.codes = map[string]string{}
	}
	c.codes[ref] = code
	c.order = append(c.order, refAge{ref, now.Add(codeRefFor)})
	return ref
}

// get gives the code back, "" where the reference is not known or too old.
func (c *codeRefs) get(ref string, now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prune(now, codeRefsKept)
	return c.codes[ref]
}

func (c *codeRefs) prune(now time.Time, keep int) {
	n := 0
	for n < len(c.order) && (!now.Before(c.order[n].until) || len(c.order)-n > keep) {
		delete(c.codes, c.order[n].ref)
		n++
	}
	c.order = slices.Delete(c.order, 0, n)
}

// giftcards is the desk, or the refusal where there is none.
func (s *Server) giftcards() (Giftcards, error) {
	if s.cfg.Giftcards == nil {
		return nil, refuse(http.StatusServiceUnavailable, "giftcards_unavailable", "This agent takes no gift cards.", "Configure the cloud first.")
	}
	return s.cfg.Giftcards, nil
}

// secretFields are the fields of gift card bodies that hold what no other body may.
var secretFields = []string{"code", "pin", "physicalCode", "physicalPin"}

// withoutSecrets leaves those fields of the outermost object out.
func (n node) withoutSecrets() node {
	out := node{kind: n.kind, text: n.text}
	for i, name := range n.keys {
		if !slices.Contains(secretFields, name) || n.list[i].kind != '"' {
			out.keys, out.list = append(out.keys, name), append(out.list, n.list[i])
		}
	}
	return out
}

// cardRef finds the code that a request names.
func (s *Server) cardRef(r wire.CardRef) (offline.CardRef, error) {
	return s.codeOf("code", r.Code, r.CodeRef, r.CodeType, r.PIN)
}

func (s *Server) codeOf(name, code, ref, codeType, pin string) (offline.CardRef, error) {
	out := offline.CardRef{Code: code, CodeType: codeType, PIN: pin}
	switch {
	case (code == "") == (ref == ""):
		return out, invalid(field(name, "give either this or codeRef"))
	case ref != "":
		if out.Code = s.codeRefs.get(ref, time.Now()); out.Code == "" {
			no := invalid(field("codeRef", "is not known any more; it is good for ten minutes after its scan"))
			no.code, no.hint = "code_ref_unknown", "Scan the card again, or type its code."
			return out, no
		}
	}
	if strings.TrimSpace(out.Code) != out.Code || strings.IndexFunc(out.Code, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return out, invalid(field(name, "holds what no code has: spaces at an end, or characters that cannot be seen"))
	}
	if carddata.LooksLikeCard(out.Code, s.cfg.GiftcardPrefixes) {
		no := refuse(http.StatusUnprocessableEntity, "card_data_refused", "The code looks like a payment card's number.",
			"Payment cards go into the terminal. If this is a gift card, add its prefix to giftcard.prefixes.")
		no.fields = []wire.FieldError{field(name, "looks like a payment card's number")}
		return out, no
	}
	return out, nil
}

func (s *Server) lookupGiftcard(ctx context.Context, in *struct{ Body wire.CardRef }) (*answer[offline.CardBalance], error) {
	g, err := s.giftcards()
	if err != nil {
		return nil, err
	}
	ref, err := s.cardRef(in.Body)
	if err != nil {
		return nil, err
	}
	found, err := g.Lookup(ctx, ref)
	if err != nil {
		return nil, explainCard(err)
	}
	return ok(found), nil
}

func giftcardPath(id string) string { return "/v1/giftcards/transactions/" + id }

func (s *Server) postGiftcardTransaction(ctx context.Context, in *struct{ Body wire.GiftcardTransaction }) (*answer[offline.GiftcardView], error) {
	g, err := s.giftcards()
	if err != nil {
		return nil, err
	}
	c := callOf(ctx)
	ref, err := s.cardRef(in.Body.CardRef)
	if err != nil {
		return nil, err
	}
	amount, err := s.amount("amount", in.Body.Amount, "")
	if err != nil {
		return nil, err
	}
	v, err := g.Transact(durable(ctx), offline.CardRequest{
		CardRef: ref, TransType: in.Body.TransType, Mode: in.Body.Mode, Amount: amount, Reference: in.Body.Reference,
	}, c.actor, func(v offline.GiftcardView) journal.Entry {
		return c.entry(http.StatusCreated, giftcardPath(v.ID), v)
	})
	s.metrics.giftcard(in.Body.TransType, v, err)
	if err != nil {
		return nil, explainCard(err)
	}
	return &answer[offline.GiftcardView]{Status: http.StatusCreated, Location: giftcardPath(v.ID), Body: v}, nil
}

// giftcard counts what a cashier heard.
func (m *metrics) giftcard(kind offline.TransType, v offline.GiftcardView, err error) {
	var rule *offline.OfflineError
	switch {
	case err == nil:
		m.cards.WithLabelValues(string(kind), string(v.State)).Inc()
	case errors.As(err, &rule):
		m.cards.WithLabelValues(string(kind), rule.Rule).Inc()
	}
}

func (s *Server) getGiftcardTransaction(ctx context.Context, in *byID) (*answer[offline.GiftcardView], error) {
	g, err := s.giftcards()
	if err != nil {
		return nil, err
	}
	v, err := g.Transaction(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return ok(v), nil
}

func (s *Server) captureGiftcard(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"100"`
	Body *wire.AmountRequest
}) (*answer[offline.GiftcardView], error) {
	g, err := s.giftcards()
	if err != nil {
		return nil, err
	}
	amount := ""
	if in.Body != nil && in.Body.Amount != "" {
		a, err := s.amount("amount", in.Body.Amount, "")
		if err != nil {
			return nil, err
		}
		amount = a.String()
	}
	c := callOf(ctx)
	v, err := g.Capture(durable(ctx), in.ID, amount, func(v offline.GiftcardView) journal.Entry {
		return c.entry(http.StatusOK, giftcardPath(v.ID), v)
	})
	if err != nil {
		return nil, explainCard(err)
	}
	return &answer[offline.GiftcardView]{Status: http.StatusOK, Location: giftcardPath(v.ID), Body: v}, nil
}

func (s *Server) cancelGiftcard(ctx context.Context, in *byID) (*answer[offline.GiftcardView], error) {
	g, err := s.giftcards()
	if err != nil {
		return nil, err
	}
	c := callOf(ctx)
	v, err := g.Cancel(durable(ctx), in.ID, func(v offline.GiftcardView) journal.Entry {
		return c.entry(http.StatusOK, giftcardPath(v.ID), v)
	})
	if err != nil {
		return nil, explainCard(err)
	}
	return &answer[offline.GiftcardView]{Status: http.StatusOK, Location: giftcardPath(v.ID), Body: v}, nil
}

func (s *Server) issueGiftcard(ctx context.Context, in *struct{ Body wire.NewGiftcard }) (*answer[offline.CardBalance], error) {
	g, err := s.giftcards()
	if err != nil {
		return nil, err
	}
	ref, err := s.codeOf("physicalCode", in.Body.PhysicalCode, in.Body.CodeRef, "", in.Body.PhysicalPIN)
	if err != nil {
		return nil, err
	}
	card, err := g.Issue(durable(ctx), ref)
	if err != nil {
		return nil, explainCard(err)
	}
	return &answer[offline.CardBalance]{Status: http.StatusCreated, Body: card}, nil
}

// giftcardNow is how a transaction stands when its request is repeated: what the first call waited for may have come
// since, also over a restart.
func giftcardNow(ctx context.Context, s *Server, location string) (any, error) {
	g, err := s.giftcards()
	if err != nil {
		return nil, err
	}
	return g.Transaction(ctx, path.Base(location))
}

// explainCard turns the refusals of the gift card desk into answers.
func explainCard(err error) error {
	var (
		rule   *offline.OfflineError
		cloud  *offline.CloudError
		amount *offline.AmountError
	)
	conflict := func(code, detail, hint string) error { return refuse(http.StatusConflict, code, detail, hint) }
	switch {
	case errors.As(err, &rule):
		r := refuse(http.StatusConflict, "offline_not_allowed", rule.Detail+".", "Take another tender; the rules are under [giftcard.offline] of the configuration.")
		r.rule = rule.Rule
		return r
	case errors.As(err, &cloud):
		return refuse(http.StatusUnprocessableEntity, "cloud_refused", fmt.Sprintf("The cloud refused: %s (%s).", cloud.Fault.Message, cloud.Fault.Code),
			"Check the card; if it stays, look the code up in the admin console.")
	case errors.As(err, &amount):
		return invalid(field("amount", "must be above zero and at most the "+amount.Held+" that are held"))
	case errors.Is(err, offline.ErrAmbiguousCode):
		return conflict("ambiguous_code", "Several gift cards have this code.", "Send codeType as well, PHYSICAL for a plastic card.")
	case errors.Is(err, offline.ErrNoSuchCard):
		return refuse(http.StatusNotFound, "giftcard_not_found", "No gift card has this code.", "Scan the card again, or check the code that was typed.")
	case errors.Is(err, offline.ErrCardExists):
		return conflict("giftcard_exists", "A gift card with this code exists.", "Take a new card, or fill this one by a transaction of type ADD.")
	case errors.Is(err, offline.ErrCardInDoubt):
		return conflict("giftcard_in_doubt", "An earlier transaction of this card is in doubt, so nothing more of it is sent.",
			"Take another tender; a technician settles it under GET /v1/queue/items.")
	case errors.Is(err, offline.ErrCardsHidden):
		return conflict("permission_missing", "The cloud account may not do that with gift cards.",
			"Give the account's role the permissions FindGiftCardByCode, UsePhysicalGiftCardCodes and, to issue cards, CreateGiftCard.")
	case errors.Is(err, offline.ErrCloudAway):
		return refuse(http.StatusServiceUnavailable, "cloud_unavailable", "The cloud does not answer, and nothing is known here that would do.",
			"Try again when GET /v1/queue says online, or take another tender.")
	case errors.Is(err, offline.ErrState):
		return conflict("wrong_state", "The gift card transaction is not in a state for that.", "Read it again and decide by its state.")
	}
	return err
}
