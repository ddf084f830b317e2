package register_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/scanner"
	"storeagent/internal/journal"
	"storeagent/register"
)

// wireTap is a ResponseWriter over one end of a net.Pipe, whose deadlines obey the fake clock.
type wireTap struct {
	net.Conn
	header http.Header
	status int
}

func (w *wireTap) Header() http.Header    { return w.header }
func (w *wireTap) WriteHeader(status int) { w.status = status }
func (w *wireTap) FlushError() error      { return nil }

// listener is the reading end of one stream.
type listener struct {
	*bufio.Reader
	conn   net.Conn
	ended  chan struct{}
	cancel context.CancelFunc
	tap    *wireTap
}

func listen(t *testing.T, s http.Handler, a ask) *listener {
	t.Helper()
	a.method = "GET"
	near, far := net.Pipe()
	l := &listener{Reader: bufio.NewReader(far), conn: far, ended: make(chan struct{}), tap: &wireTap{Conn: near, header: http.Header{}}}
	r := a.request(t)
	ctx, cancel := context.WithCancel(r.Context())
	l.cancel = cancel
	t.Cleanup(cancel)
	go func() {
		defer close(l.ended)
		s.ServeHTTP(l.tap, r.WithContext(ctx))
		if err := near.Close(); err != nil {
			t.Error(err)
		}
	}()
	return l
}

// message reads up to the next blank line.
func (l *listener) message(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for {
		line, err := l.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", b.String(), err)
		}
		if line == "\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

// event reads the next message that is an event.
func (l *listener) event(t *testing.T) (id, typ, data string) {
	t.Helper()
	for {
		m := l.message(t)
		if !strings.HasPrefix(m, "id: ") {
			continue
		}
		lines := strings.Split(strings.TrimSuffix(m, "\n"), "\n")
		if len(lines) != 3 {
			t.Fatalf("message %q", m)
		}
		return strings.TrimPrefix(lines[0], "id: "), strings.TrimPrefix(lines[1], "event: "), strings.TrimPrefix(lines[2], "data: ")
	}
}

func (l *listener) end() {
	l.cancel()
	<-l.ended
}

func put(t *testing.T, m *memory, events ...journal.Event) {
	t.Helper()
	if err := m.Append(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

func event(typ string, n int) journal.Event {
	return journal.NewEvent(typ, time.Unix(1700000000, 0), map[string]int{"n": n})
}

func TestStreamReplaysThenGoesLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newServer(t, m)
		for i := range 600 { // more than two pages
			put(t, m, event([]string{"sale", "queue"}[i%2], i))
		}
		l := listen(t, s, ask{path: "/v1/events", token: registerToken, header: map[string]string{"Last-Event-ID": "5"}})
		for i := 5; i < 600; i++ {
			id, typ, data := l.event(t)
			if id != fmt.Sprint(i+1) || typ != []string{"sale", "queue"}[i%2] || data != fmt.Sprintf(`{"n":%d}`, i) {
				t.Fatalf("event %d: %s %s %s", i, id, typ, data)
			}
		}
		if ct := l.tap.header.Get("Content-Type"); ct != "text/event-stream" || l.tap.status != 200 {
			t.Errorf("%d %s", l.tap.status, ct)
		}
		put(t, m, event("payment", 600), event("drawer", 601))
		for _, want := range []string{"601 payment", "602 drawer"} {
			if id, typ, _ := l.event(t); id+" "+typ != want {
				t.Errorf("live: %s %s, want %s", id, typ, want)
			}
		}
		l.end()
	})
}

func TestStreamFilterQueryAndStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newServer(t, m)
		put(t, m, event("sale", 1), event("queue", 2), event("sale", 3))
		byQuery := listen(t, s, ask{path: "/v1/events?types=sale,%20drawer&lastEventId=1", token: registerToken})
		fromNow := listen(t, s, ask{path: "/v1/events", token: registerToken})
		future := listen(t, s, ask{path: "/v1/events?lastEventId=999", token: registerToken})
		if id, _, _ := byQuery.event(t); id != "3" {
			t.Errorf("filtered: %s", id)
		}
		for _, l := range []*listener{byQuery, fromNow, future} {
			if l != byQuery {
				l.message(t) // the greeting: the stream has begun
			}
		}
		synctest.Wait()
		put(t, m, event("queue", 4), event("sale", 5))
		if id, _, _ := byQuery.event(t); id != "5" {
			t.Errorf("filtered live: %s", id)
		}
		for _, l := range []*listener{fromNow, future} {
			if id, _, _ := l.event(t); id != "4" {
				t.Errorf("from now: %s", id)
			}
		}
		for _, l := range []*listener{byQuery, fromNow, future} {
			l.end()
		}
	})
}

func TestStreamHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, newServer(t, newMemory()), ask{path: "/v1/events", token: registerToken})
		if m := l.message(t); !strings.HasPrefix(m, "retry: ") {
			t.Errorf("greeting %q", m)
		}
		began := time.Now()
		for i := range 3 {
			if m := l.message(t); !strings.HasPrefix(m, ":") {
				t.Errorf("heartbeat %q", m)
			}
			if at := time.Since(began); at != time.Duration(i+1)*15*time.Second {
				t.Errorf("heartbeat %d after %s", i, at)
			}
		}
		l.end()
	})
}

func TestSlowReaderIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newServer(t, m)
		slow := listen(t, s, ask{path: "/v1/events", token: registerToken})
		slow.message(t)
		quick := listen(t, s, ask{path: "/v1/events", token: registerToken})
		quick.message(t)
		synctest.Wait()
		put(t, m, event("sale", 1))
		if id, _, _ := quick.event(t); id != "1" {
			t.Errorf("quick reader got %s", id)
		}
		began := time.Now()
		<-slow.ended // nobody reads it
		if waited := time.Since(began); waited != 10*time.Second {
			t.Errorf("cut off after %s", waited)
		}
		put(t, m, event("sale", 2))
		if id, _, _ := quick.event(t); id != "2" {
			t.Errorf("quick reader got %s", id)
		}
		quick.end()
	})
}

func TestStreamEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, newMemory())
		l := listen(t, s, ask{path: "/v1/events", token: registerToken})
		l.message(t)
		if w := (ask{method: "DELETE", path: "/v1/pairings/p-register", token: technicianToken}).do(t, s); w.Code != 204 {
			t.Fatalf("revoke: %d", w.Code)
		}
		<-l.ended
	})
}

func TestObserverHearsDeviceAndQueueOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newServer(t, m)
		for i, typ := range []string{"scan", "payment", "printJob", "device", "drawer", "queue", "sale", "signin", "giftcard"} {
			put(t, m, event(typ, i))
		}
		l := listen(t, s, ask{path: "/v1/events?lastEventId=0", token: observerToken})
		for _, want := range []string{"device", "queue"} {
			if _, typ, _ := l.event(t); typ != want {
				t.Errorf("%s, want %s", typ, want)
			}
		}
		l.end()
		for query, want := range map[string]int{"types=scan": 403, "types=device,sale": 403, "types=zz9MARKER": 422, "lastEventId=x": 422, "lastEventId=-1": 422} {
			if w := (ask{method: "GET", path: "/v1/events?" + query, token: observerToken}).do(t, s); w.Code != want || strings.Contains(w.Body.String(), "MARKER") {
				t.Errorf("%s: %d %s", query, w.Code, w.Body)
			}
		}
	})
}

func scan(data, gtin string) scanner.Scan {
	return scanner.Scan{Scanner: "gun", Symbology: "ean13", AIM: "]E0", Data: []byte(data), GTIN: gtin, At: time.Unix(1700000000, 0)}
}

func TestScanEvent(t *testing.T) {
	m := newMemory()
	s := newServer(t, m)
	for _, tt := range []struct {
		scan scanner.Scan
		want string
	}{
		{scan("4006381333931", "04006381333931"), `{"scanner":"gun","symbology":"ean13","aim":"]E0","data":"4006381333931","dataBase64":"NDAwNjM4MTMzMzkzMQ==","gtin":"04006381333931","kind":"item","at":"2023-11-14T22:13:20Z"}`},
		{scan("LOYAL-7", ""), `{"scanner":"gun","symbology":"ean13","aim":"]E0","data":"LOYAL-7","dataBase64":"TE9ZQUwtNw==","kind":"unknown","at":"2023-11-14T22:13:20Z"}`},
		{scan("a\x1d\xff", ""), `{"scanner":"gun","symbology":"ean13","aim":"]E0","data":"a\u001d` + "\uFFFD" + `","dataBase64":"YR3/","kind":"unknown","at":"2023-11-14T22:13:20Z"}`},
		{scan("6006491234567890", "06006491234567"), `{"scanner":"gun","symbology":"ean13","aim":"]E0","data":"************7890","codeRef":"cr_?","kind":"giftcard","at":"2023-11-14T22:13:20Z"}`},
	} {
		if err := s.Scanned(t.Context(), tt.scan); err != nil {
			t.Fatal(err)
		}
		e := m.log[len(m.log)-1]
		data := regexp.MustCompile(`"cr_[^"]{24}"`).ReplaceAll(e.Data, []byte(`"cr_?"`))
		if e.Type != "scan" || e.Scanner != "gun" || e.Owner != "" || string(data) != tt.want {
			t.Errorf("%+v %s\nwant %s", e, e.Data, tt.want)
		}
	}
	before := len(m.log)
	if err := s.Scanned(t.Context(), scan("4111111111111111", "")); err != nil {
		t.Fatal(err)
	}
	e := m.log[before]
	var d devices.Info
	if err := json.Unmarshal(e.Data, &d); err != nil {
		t.Fatal(err)
	}
	if len(m.log) != before+1 || e.Type != "device" || d.Name != "gun" || d.LastError == nil || d.LastError.Code != "card_data_refused" || d.LastError.Length != 16 || strings.Contains(string(e.Data), "411111") {
		t.Errorf("refused scan: %s", e.Data)
	}
	m.full = true
	if err := s.Scanned(t.Context(), scan("LOYAL-7", "")); err == nil {
		t.Error("a scan that was not committed was taken")
	}
}

func TestClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newServer(t, m)
		claim := func(method, token string) (int, string) {
			w := ask{method: method, path: "/v1/scanners/gun/claim", token: token}.do(t, s)
			return w.Code, w.Body.String()
		}
		send := func(data string) {
			t.Helper()
			if err := s.Scanned(t.Context(), scan(data, "")); err != nil {
				t.Fatal(err)
			}
		}
		send("before")
		status, first := claim("POST", registerToken)
		if status != 200 || !strings.Contains(first, "claimId") {
			t.Fatalf("%d %s", status, first)
		}
		if status, _ := claim("POST", secondToken); status != 409 {
			t.Errorf("claimed twice: %d", status)
		}
		if status, _ := claim("DELETE", secondToken); status != 409 {
			t.Errorf("released by another register: %d", status)
		}
		time.Sleep(time.Minute) // fake time
		if status, again := claim("POST", registerToken); status != 200 || again[:40] != first[:40] || again == first {
			t.Errorf("renewed: %d %s %s", status, first, again)
		}
		send("during")
		hear := func(token string, want ...string) {
			t.Helper()
			l := listen(t, s, ask{path: "/v1/events?types=scan,queue&lastEventId=0", token: token})
			put(t, m, event("queue", 0))
			var got []string
			for len(got) < len(want) {
				_, typ, data := l.event(t)
				if typ != "scan" {
					break
				}
				var v struct{ Data string }
				if err := json.Unmarshal([]byte(data), &v); err != nil {
					t.Fatal(err)
				}
				got = append(got, v.Data)
			}
			if _, typ, _ := l.event(t); typ != "queue" && len(want) > 0 {
				t.Error("more scans than wanted")
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s heard %v, want %v", token, got, want)
			}
			l.end()
		}
		hear(registerToken, "before", "during")
		l := listen(t, s, ask{path: "/v1/events?types=scan,queue&lastEventId=0", token: secondToken})
		if _, typ, data := l.event(t); typ != "queue" {
			t.Errorf("another register heard %s", data)
		}
		l.end()
		if w := (ask{method: "GET", path: "/v1/devices", token: observerToken}).do(t, s); !strings.Contains(w.Body.String(), `"state":"claimed"`) {
			t.Errorf("not shown as claimed: %s", w.Body)
		}
		time.Sleep(2 * time.Minute) // fake time: the claim ends
		if status, body := claim("GET", secondToken); status != 200 || !strings.Contains(body, `"claimed":false`) {
			t.Errorf("expired: %d %s", status, body)
		}
		// What was scanned for the holder stays with it.
		l = listen(t, s, ask{path: "/v1/events?types=scan,queue&lastEventId=0", token: secondToken})
		if _, _, data := l.event(t); !strings.Contains(data, "before") {
			t.Errorf("heard %s", data)
		}
		if _, typ, data := l.event(t); typ != "queue" {
			t.Errorf("heard %s", data)
		}
		l.end()
		if status, _ := claim("POST", secondToken); status != 200 {
			t.Errorf("claim after the end: %d", status)
		}
		if status, _ := claim("DELETE", technicianToken); status != 204 {
			t.Errorf("technician releases: %d", status)
		}
		if w := (ask{method: "POST", path: "/v1/scanners/front/claim", token: registerToken}).do(t, s); w.Code != 404 {
			t.Errorf("a printer is no scanner: %d", w.Code)
		}
	})
}

func TestDeviceStormsCollapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newServer(t, m)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		d := m.devs[0]
		for i := range 1000 { // a cable that flaps for ten seconds
			d.State = []devices.State{devices.Offline, devices.Ready}[i%2]
			s.DeviceChanged(d)
			time.Sleep(10 * time.Millisecond) // fake time
		}
		time.Sleep(time.Second) // fake time
		synctest.Wait()
		if n := len(m.log); n < 2 || n > 45 {
			t.Errorf("%d events", n)
		}
		var last devices.Info
		if err := json.Unmarshal(m.log[len(m.log)-1].Data, &last); err != nil || last.State != devices.Ready {
			t.Errorf("last event: %+v %v", last, err)
		}
		n := len(m.log)
		d.Since = d.Since.Add(time.Hour)
		s.DeviceChanged(d)
		time.Sleep(time.Second) // fake time
		synctest.Wait()
		if len(m.log) != n {
			t.Error("an event without news")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkScanToEvent is the time from a scanner's call to the bytes of the event at a reader, without the disk.
func BenchmarkScanToEvent(b *testing.B) {
	m := newMemory()
	s := newServer(b, m)
	near, far := net.Pipe()
	r := ask{method: "GET", path: "/v1/events?types=scan", token: registerToken}.request(b)
	ctx, cancel := context.WithCancel(r.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.ServeHTTP(&wireTap{Conn: near, header: http.Header{}}, r.WithContext(ctx))
	}()
	in := bufio.NewReader(far)
	next := func() {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				b.Fatal(err)
			}
			if line == "\n" {
				return
			}
		}
	}
	next()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Scanned(b.Context(), scan("4006381333931", "04006381333931")); err != nil {
			b.Fatal(err)
		}
		next()
		m.mu.Lock()
		m.log[len(m.log)-1].Data = nil // keep the log's memory small
		m.mu.Unlock()
	}
	cancel()
	<-ended
}

var _ register.Events = (*memory)(nil)
