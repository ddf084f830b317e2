package nexo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"storeagent/devices/port"
)

// How long it may take to reach a terminal, and to get an answer to a question that no customer is part of.
const (
	dialLimit = 5 * time.Second
	askLimit  = 15 * time.Second
	maxAnswer = 1 << 20
)

// line is one TLS connection to the terminal.
type line struct {
	*tls.Conn
	raw net.Conn
}

// Close hangs up at once: messages are whole or not by their own length, so no farewell is waited for.
func (l line) Close() error { return l.raw.Close() }

// dial opens one TLS connection. Every message has its own: so a dead line shows before anything is sent, and nothing
// is ever sent twice by a connection pool.
func (t *Terminal) dial(ctx context.Context) (line, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	raw, err := t.connect(ctx, "tcp", t.url.Host)
	if err != nil {
		return line{}, t.portError("open", port.Missing, "check that the terminal is on, in the same network, and that address and port are right", err)
	}
	conn := tls.Client(raw, t.tls)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // the handshake's error is the one that counts
		hint := "check that this is the terminal's address and its local port (8443)"
		var no *untrustedError
		if errors.As(err, &no) {
			hint = "compare option root with the fleet's root certificate, option poiid with the terminal, and the clock of this PC"
		}
		return line{}, t.portError("open", port.Failed, hint, err)
	}
	return line{conn, raw}, nil
}

func (t *Terminal) portError(op string, kind port.Kind, hint string, err error) error {
	return &port.Error{Op: op, Address: t.link.Info().Port, Kind: kind, Hint: hint, Err: err}
}

// newHeader makes the header of a message of ours. What only uses a part of the terminal, its display or its printer, is
// of class Device (nexo Retailer 3.0, MessageClass).
func (t *Terminal) newHeader(category, serviceID string) header {
	class := "Service"
	if category == catDisplay || category == catPrint {
		class = "Device"
	}
	return header{
		ProtocolVersion: protocolVersion, MessageClass: class, MessageCategory: category, MessageType: "Request",
		SaleID: t.saleID, ServiceID: serviceID, POIID: t.poiid,
	}
}

// errEmpty is an answer without a body, which is what an abort gets.
var errEmpty = errors.New("terminal answered nothing")

// exchange sends one message over conn and reads its answer. wrote, if not nil, is called once all of it is on the
// wire. conn is closed in any case.
func (t *Terminal) exchange(ctx context.Context, conn line, r request, wrote func()) (response, error) {
	defer func() { _ = conn.Close() }() // the exchange is over or broken
	clear, err := json.Marshal(map[string]request{"SaleToPOIRequest": r})
	if err != nil {
		return response{}, fmt.Errorf("write %s request: %w", r.MessageHeader.MessageCategory, err)
	}
	body, err := json.Marshal(map[string]sealed{"SaleToPOIRequest": t.sealer.seal(r.MessageHeader, clear)})
	if err != nil {
		return response{}, fmt.Errorf("write %s request: %w", r.MessageHeader.MessageCategory, err)
	}
	answer, err := t.post(ctx, conn, body, wrote)
	if err != nil {
		return response{}, fmt.Errorf("%s request: %w", r.MessageHeader.MessageCategory, err)
	}
	out, err := t.sealer.readAnswer(answer, r.MessageHeader)
	if err != nil {
		return response{}, fmt.Errorf("answer to %s: %w", r.MessageHeader.MessageCategory, err)
	}
	return out, nil
}

// post does the HTTP part, on a connection of our own and not on a client's pool, which might send again.
func (t *Terminal) post(ctx context.Context, conn line, body []byte, wrote func()) ([]byte, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // ends what blocks below
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	status, answer, err := roundTrip(conn, req, wrote)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer in time: %w", err)
		}
		return nil, t.portError("talk to terminal at", port.Unplugged, "check the terminal's network and that it is on", err)
	}
	if why := rejection(answer); why != "" {
		return nil, t.portError("talk to terminal at", port.Failed, "compare passphrase, key_identifier and key_version with the terminal's settings", fmt.Errorf("terminal rejected the message: %s", why))
	}
	if status != http.StatusOK {
		return nil, t.portError("talk to terminal at", port.Failed, "check the path of the terminal's address, like /nexo", fmt.Errorf("terminal answered with HTTP status %d", status))
	}
	return answer, nil
}

// roundTrip writes the request and reads the answer, passing over interim ones.
func roundTrip(conn io.ReadWriter, req *http.Request, wrote func()) (status int, answer []byte, err error) {
	if err := req.Write(conn); err != nil {
		return 0, nil, err
	}
	if wrote != nil {
		wrote()
	}
	in := bufio.NewReader(io.LimitReader(conn, maxAnswer))
	for {
		res, err := http.ReadResponse(in, req)
		if err != nil {
			return 0, nil, err
		}
		answer, err := io.ReadAll(res.Body)
		_ = res.Body.Close() // read to its end
		if err != nil || res.StatusCode >= http.StatusOK {
			return res.StatusCode, answer, err
		}
	}
}

// rejection reads the unprotected event by which a terminal says that it could not read a message. Nothing vouches for
// it, so it only words an error.
func rejection(answer []byte) string {
	var m struct {
		SaleToPOIRequest struct {
			EventNotification struct {
				EventToNotify string
				EventDetails  string
			}
		}
	}
	if json.Unmarshal(answer, &m) != nil || m.SaleToPOIRequest.EventNotification.EventToNotify != "Reject" {
		return ""
	}
	details := m.SaleToPOIRequest.EventNotification.EventDetails
	if text := additional(details, "message"); text != "" {
		return text
	}
	return "it gave no reason"
}

// readAnswer opens a protected answer to the message with header ask.
func (s *sealer) readAnswer(answer []byte, ask header) (response, error) {
	if len(bytes.TrimSpace(answer)) == 0 {
		return response{}, errEmpty
	}
	var outer struct{ SaleToPOIResponse *sealed }
	if err := json.Unmarshal(answer, &outer); err != nil || outer.SaleToPOIResponse == nil {
		return response{}, errors.New("terminal answered something that is no protected message")
	}
	clear, err := s.open(*outer.SaleToPOIResponse)
	if err != nil {
		return response{}, err
	}
	var inner struct{ SaleToPOIResponse *response }
	if err := json.Unmarshal(clear, &inner); err != nil || inner.SaleToPOIResponse == nil {
		return response{}, errors.New("protected message holds no answer") // err could quote card data
	}
	r := *inner.SaleToPOIResponse
	want := ask
	want.MessageType = "Response"
	switch h := r.MessageHeader; {
	case h != outer.SaleToPOIResponse.MessageHeader:
		return response{}, errors.New("protected header differs from the open one")
	case h.ServiceID != want.ServiceID || h.SaleID != want.SaleID:
		return response{}, fmt.Errorf("answer is for %s/%s, not for %s/%s", h.SaleID, h.ServiceID, want.SaleID, want.ServiceID)
	case h.POIID != want.POIID:
		return response{}, fmt.Errorf("answer is from %s, not from %s", h.POIID, want.POIID)
	case h.MessageCategory != want.MessageCategory || h.MessageType != want.MessageType:
		return response{}, fmt.Errorf("answer is a %s %s", h.MessageCategory, h.MessageType)
	}
	return r, nil
}

// ask is dial and exchange for what no customer is part of.
func (t *Terminal) ask(ctx context.Context, r request) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	conn, err := t.dial(ctx)
	if err != nil {
		return response{}, err
	}
	return t.exchange(ctx, conn, r, nil)
}

// additional finds one value of a form-encoded AdditionalResponse. The other values, which may hold BIN and expiry of
// the card, are not kept.
func additional(text, key string) string {
	values, err := url.ParseQuery(text)
	if err != nil {
		return ""
	}
	return mask(strings.TrimSpace(values.Get(key)))
}
