package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"storeagent/devices"
	"storeagent/offline/cloudsim"
	"storeagent/payments"
	"storeagent/payments/terminalsim"
	"storeagent/register/wire"
)

// leakPaths are the answers in which card data could stand.
var leakPaths = []string{
	"/v1/payments?limit=500", "/v1/terminals", "/v1/devices", "/v1/status", "/v1/queue", "/v1/queue/items", "/v1/queue/export", "/v1/sales", "/metrics",
}

// searchAnswers asks for everything that can be asked for, makes a support bundle, and looks for the card number in all
// of it. The files of the agent, its log at its most talkative among them, are searched when the shop closes.
func (ts *testShop) searchAnswers(events *listener) {
	ts.tb.Helper()
	texts := ts.packUp("card-data.zip")
	token, err := os.ReadFile(filepath.Join(ts.shop.dir, "data", technicianToken))
	ts.must(err)
	for _, path := range leakPaths {
		req, err := http.NewRequestWithContext(ts.ctx, http.MethodGet, ts.shop.url()+path, nil)
		ts.must(err)
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		resp, err := http.DefaultClient.Do(req)
		ts.must(err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.must(err)
		if resp.StatusCode != http.StatusOK {
			ts.tb.Errorf("GET %s: %s %s", path, resp.Status, body)
		}
		texts["GET "+path] = string(body)
	}
	for _, p := range ts.allPayments() {
		text, err := json.Marshal(p)
		ts.must(err)
		texts["payment "+p.ID] = string(text)
	}
	told, err := json.Marshal(events.all())
	ts.must(err)
	texts["events"] = string(told)
	if !strings.Contains(texts["events"], `"approved"`) || !strings.Contains(texts["GET /v1/payments?limit=500"], simulatedPAN[12:]) || len(texts) < 20 {
		ts.tb.Errorf("the search looked at nothing: %d texts", len(texts))
	}
	for where, text := range texts {
		for _, form := range []string{simulatedPAN, "4111 1111 1111 1111", "4111-1111-1111-1111", "A" + strings.Repeat("\x11", 7)} {
			if at := strings.Index(text, form); at >= 0 {
				ts.tb.Errorf("%s holds the card number: …%q", where, text[max(0, at-80):at+len(form)])
			}
		}
	}
	if log := ts.shop.log(); !strings.Contains(log, "level=DEBUG") {
		ts.tb.Error("the agent's log is not at its most talkative")
	}
}

// TestNoCardDataOfAnyTerminal takes payments at every kind of terminal, each showing the whole card number wherever its
// protocol has a place: approved, with a wrong PIN, declined, and recovered after the line died.
func TestNoCardDataOfAnyTerminal(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	ts.shop.flags = []string{"--log-level", "debug"}
	ts.must(ts.signIn(ts.ctx))
	leak := []terminalsim.Behaviour{
		{FullPAN: true}, {FullPAN: true, WrongPIN: true, Slow: 1}, {FullPAN: true, Result: 0x05}, {FullPAN: true, CutAt: terminalsim.StepResultSent}, {FullPAN: true},
	}
	ts.withTerminals().PlayTerminal(cloudsim.TerminalPlay{FullPAN: true})
	text := poscloudDevice
	names := []string{"card"}
	for _, r := range rigs {
		_, lines := r.plug(ts, terminalsim.Options{Currency: "840", Script: leak})
		text += strings.Replace(lines, `name = "lane"`, fmt.Sprintf("name = %q", "at-"+r.driver), 1)
		names = append(names, "at-"+r.driver)
	}
	ts.shop.terminal.SetScript(leak)
	ts.add(text)
	events := ts.listen()
	for _, name := range append(names, "lane") {
		for n := range leak {
			ts.terminalIs(name, devices.Ready)
			p := ts.payAt(name, fmt.Sprintf("pay-%s-%d", name, n), "7.77")
			if n == 0 && p.State != payments.Approved {
				t.Errorf("%s: %s %s", name, p.State, p.Problem)
			}
			if p.State == payments.Unresolved {
				p, err := ts.admin.ResolvePayment(ts.ctx, p.ID, wire.Resolve{Outcome: wire.OutcomeApproved, Note: "slip of card ending 1111"})
				if err != nil {
					t.Errorf("%s: %s %v", name, p.State, err)
				}
			}
		}
	}
	ts.searchAnswers(events)
}

// capturedAPDUs are what terminals of several vendors sent to their registers during payments and ends of day (04 0F,
// 04 FF, 06 D1), with a whole card number in the place of the masked one; and the same number in lines to be printed and
// in a prompt. They are sent as they stand.
var capturedAPDUs = []string{
	"04ff0117",
	"040f5a2700040000000025004909780c2255580d040522f0f8411111111111111187" + "02313b37353030373100000b000975196029525235350e24058a068c018bf1f14d617374657243617264002a383034303131393236202020202020",
	"040f4d2700040000000009580b0009820d04060c08170660f0f5f30233023400000000000000000000000000000200000000095800000000000000000000000000000000000000000000000000000000",
	"040f772700040000000020400b0004700c2239530d10060e2512170001197022f0f8411111111111111129280048692a3130303436313736332020202020203b36313138303400003cf0f1f447454e2e4e522e3a363131383034490978870470880004708a2e8bf1f74465626974204d61737465726361726400",
	"06d114402a2a204b415353454e5343484e495454202a2a", "06d10e405445535420506f7274616c756d", "06d109405249454447203530", "06d10e403638353020444f524e4249524e",
	"06d10140", "06d1020020", "06d119005465726d696e616c2d49443a202020203238303034383639",
	leakyLine(0x06, 0xD1, "\x00"+simulatedPAN), leakyLine(0x06, 0xD1, "\x004111 1111 1111 1111"), leakyLine(0x06, 0xD1, "\x81Kartennr. "+simulatedPAN),
	leakyLine(0x06, 0xD3, "\x06\x19\x1f\x07\x01\x01\x25\x13\x09\x01\x00\x07\x0e4111-1111-1111"), // cut off in the middle
	leakyLine(0x06, 0xD3, "\x06\x1e\x1f\x07\x01\x02\x25\x18\x09\x01\x81\x07\x13"+"4111 1111 1111 1111"),
	leakyLine(0x04, 0xFF, "\x0a\x00\x06\x14\x24\x12\x07\x10"+simulatedPAN),
}

func leakyLine(class, instr byte, data string) string {
	return hex.EncodeToString(append([]byte{class, instr, byte(len(data))}, data...))
}

// TestNoCardDataOfCapturedTraffic plays a terminal whose payments consist of captured messages, and the agent's own
// commands back at it.
func TestNoCardDataOfCapturedTraffic(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	ts.shop.flags = []string{"--log-level", "debug"}
	ts.must(ts.signIn(ts.ctx))
	var played, turn atomic.Int32
	address := ts.listenSim(func(ctx context.Context, l net.Listener) error {
		return serveTCP(ctx, l, func(ctx context.Context, conn net.Conn) error { return replay(ctx, conn, &played, &turn) })
	})
	ts.add(fmt.Sprintf("\n[[device]]\nname = \"lane\"\ndriver = \"zvt\"\nport = \"tcp:%s\"\n[device.options]\npassword = \"file:%s\"\n",
		address, filepath.ToSlash(filepath.Join(ts.shop.dir, "zvt-password"))))
	events := ts.listen()
	if p, err := ts.pay(ts.ctx, "pay-card", "1.00"); err == nil { // two terminals: it must be named
		t.Errorf("%+v", p)
	}
	ts.terminalIs("card", devices.Ready)
	if p := ts.payAt("card", "pay-first", "1.00"); p.State != payments.Approved {
		t.Errorf("%s %s", p.State, p.Problem)
	}
	ts.terminalIs("lane", devices.Ready)
	for n := range capturedAPDUs { // each is the first message of a payment once: some end it
		p := ts.payAt("lane", fmt.Sprint("pay-", n), "20.40")
		if p.State.Blocks() {
			_, err := ts.admin.ResolvePayment(ts.ctx, p.ID, wire.Resolve{Outcome: wire.OutcomeNotCharged, Note: "played traffic"})
			ts.must(err)
		}
		ts.terminalIs("lane", devices.Ready)
	}
	if n := int(played.Load()); n < 3*len(capturedAPDUs) {
		t.Errorf("only %d messages were played", n)
	}
	ts.searchAnswers(events)
}

// replay answers a register on a bare line: every command is taken; a payment is answered with all captured messages,
// beginning with another one each time, until the register goes away.
func replay(ctx context.Context, conn net.Conn, played, turn *atomic.Int32) error {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	next := func() ([]byte, error) {
		head := make([]byte, 3)
		if _, err := io.ReadFull(conn, head); err != nil {
			return nil, err
		}
		data := make([]byte, head[2])
		_, err := io.ReadFull(conn, data)
		return slices.Concat(head, data), err
	}
	say := func(text string) error {
		raw, err := hex.DecodeString(text)
		if err == nil {
			_, err = conn.Write(raw)
		}
		return err
	}
	for {
		cmd, err := next()
		if err != nil {
			return err
		}
		if cmd[0] == 0x80 || cmd[0] == 0x84 {
			continue
		}
		list := []string{"800000"}
		if cmd[1] == 0x01 && cmd[0] == 0x06 {
			first := int(turn.Add(1)-1) % len(capturedAPDUs)
			list = slices.Concat(list, capturedAPDUs[first:], capturedAPDUs[:first])
		}
		for n, text := range append(list, "060f00") {
			if err := say(text); err != nil {
				return err
			}
			if n > 0 && n < len(list) {
				played.Add(1)
			}
			if n == 0 {
				continue
			}
			if answer, err := next(); err != nil {
				return err
			} else if answer[0] != 0x80 && answer[0] != 0x84 {
				return errors.New("the register asks instead of answering")
			}
		}
	}
}
