package cloud

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	graphql "github.com/hasura/go-graphql-client"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
)

// direct answers a request without a connection.
type direct func(*http.Request) *http.Response

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := d(r)
	resp.Request = r
	return resp, nil
}

func respond(status int, kind string, body []byte) *http.Response {
	h := http.Header{}
	h.Set("Content-Type", kind)
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader(body))}
}

func ask(x *exchange, answer direct) ([]byte, error) {
	client := &http.Client{Transport: answer, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	gql := graphql.NewClient("http://127.0.0.1/", &doer{client: client})
	return gql.ExecRaw(context.WithValue(context.TODO(), exchangeKey{}, x), "query Q { a }", nil)
}

// listen gives a real TCP server that plays each connection by hand.
func listen(t *testing.T, play func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				play(conn)
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	return "http://" + ln.Addr().String() + "/"
}

const goodBody = `{"data":{"purchaseAdd":{"id":"70001"}}}`

// TestAnswerCutAtEveryByte: over TCP, only the whole answer is a delivery; any less of it is in doubt.
func TestAnswerCutAtEveryByte(t *testing.T) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n" + goodBody)
	chunked := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n27\r\n" + goodBody + "\r\n0\r\n\r\n")
	untilClose := []byte("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + goodBody)
	for _, whole := range [][]byte{answer, chunked, untilClose} {
		for n := range len(whole) + 1 {
			requests := 0
			url := listen(t, func(conn net.Conn) {
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				requests++
				_, _ = conn.Write(whole[:n])
			})
			c := newClient(t, nil, func(c *Config) { c.Endpoint = url })
			v := c.Send(t.Context(), purchase(vendorSale(t, "minimal")))
			want := offline.ClassDoubt
			if n == len(whole) {
				want = offline.ClassDelivered
			}
			if v.Class != want {
				t.Errorf("cut at %d of %d: %+v %+v", n, len(whole), v, v.Fault)
			}
			c.Close()
			if requests != 1 {
				t.Errorf("cut at %d: %d requests", n, requests)
			}
		}
	}
}

// TestRequestCutAtEveryByte: the other side takes n bytes and is gone. Without a byte taken nothing ran; with one, who
// knows.
func TestRequestCutAtEveryByte(t *testing.T) {
	op := purchase(vendorSale(t, "minimal"))
	whole := 0
	sizing := newClient(t, serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var buf bytes.Buffer
		_ = r.Write(&buf)
		whole = buf.Len()
	})), nil)
	sizing.Send(t.Context(), op)
	if whole < 500 {
		t.Fatalf("request of %d bytes", whole)
	}
	for n := 0; n < whole; n++ {
		dials := 0
		c := newClient(t, nil, func(c *Config) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) {
				dials++
				here, there := net.Pipe()
				go func() {
					_, _ = io.CopyN(io.Discard, there, int64(n))
					_ = there.Close()
				}()
				return here, nil
			}
		})
		v := c.Send(t.Context(), op)
		want := offline.ClassDoubt
		if n == 0 {
			want = offline.ClassNotExecuted
		}
		if v.Class != want || dials != 1 {
			t.Fatalf("cut at %d: %+v %+v after %d dials", n, v, v.Fault, dials)
		}
	}
}

// TestRequestCutOverTCP: whatever the kernel took of it, nothing is called unexecuted that the server has seen a byte of.
func TestRequestCutOverTCP(t *testing.T) {
	for n := 0; n < 700; n += 7 {
		seen := make(chan int64, 4)
		url := listen(t, func(conn net.Conn) {
			got, _ := io.CopyN(io.Discard, conn, int64(n))
			_ = conn.(*net.TCPConn).SetLinger(0) // a reset, as of a firewall
			seen <- got
		})
		c := newClient(t, nil, func(c *Config) { c.Endpoint = url })
		v := c.Send(t.Context(), purchase(vendorSale(t, "minimal")))
		if got := <-seen; v.Class != offline.ClassDoubt && (got > 0 || v.Class != offline.ClassNotExecuted) {
			t.Errorf("server saw %d bytes: %+v %+v", got, v, v.Fault)
		}
		if len(seen) != 0 {
			t.Error("sent twice")
		}
		c.Close()
	}
}

// closedPort is an address at which nobody listens, nor can begin to: it is the near end of a connection.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}

func TestNobodyThere(t *testing.T) {
	c := newClient(t, nil, func(c *Config) { c.Endpoint = "http://" + closedPort(t) + "/" })
	v := c.Send(t.Context(), purchase(vendorSale(t, "minimal")))
	if v.Class != offline.ClassNotExecuted || v.Fault.Code != "unreachable" {
		t.Errorf("%+v %+v", v, v.Fault)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v := c.Send(ctx, purchase(vendorSale(t, "minimal"))); v.Class != offline.ClassNotExecuted {
		t.Errorf("cancelled before: %+v", v)
	}
}

// TestKeptConnectionDies covers what net/http does of itself on a kept connection: it goes to a new one where nothing
// was written, and must not where something was.
func TestKeptConnectionDies(t *testing.T) {
	op := purchase(vendorSale(t, "minimal"))
	reply := func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n"+goodBody)
	}
	// play answers the first request on the first connection, then does as told.
	play := func(t *testing.T, then func(there net.Conn, in *bufio.Reader)) (*Client, *int, chan struct{}) {
		dials, over := 0, make(chan struct{})
		c := newClient(t, nil, func(c *Config) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) {
				dials++
				if dials > 1 {
					return nil, errors.New("connection refused")
				}
				here, there := net.Pipe()
				go func() {
					defer close(over)
					in := bufio.NewReader(there)
					req, err := http.ReadRequest(in)
					if err == nil {
						_, err = io.Copy(io.Discard, req.Body)
					}
					if err == nil {
						reply(there)
					}
					then(there, in)
				}()
				return here, nil
			}
		})
		if v := c.Send(t.Context(), op); v.Class != offline.ClassDelivered {
			t.Fatalf("first: %+v %+v", v, v.Fault)
		}
		return c, &dials, over
	}
	run := func(name string, f func(t *testing.T)) { // fake time: net/http keeps a connection only where it hears within 50 ms that the request was written
		t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
	}
	run("closed while idle, nobody there any more", func(t *testing.T) {
		c, dials, over := play(t, func(there net.Conn, _ *bufio.Reader) { _ = there.Close() })
		<-over
		synctest.Wait() // until net/http has seen it
		if v := c.Send(t.Context(), op); v.Class != offline.ClassNotExecuted || *dials != 2 {
			t.Errorf("%+v %+v after %d dials", v, v.Fault, *dials)
		}
	})
	run("closed after the request was read", func(t *testing.T) {
		c, dials, over := play(t, func(there net.Conn, in *bufio.Reader) {
			if req, err := http.ReadRequest(in); err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
			}
			_ = there.Close()
		})
		if v := c.Send(t.Context(), op); v.Class != offline.ClassDoubt || *dials != 1 {
			t.Errorf("%+v %+v after %d dials", v, v.Fault, *dials)
		}
		<-over
	})
	run("closed after one byte", func(t *testing.T) {
		c, dials, over := play(t, func(there net.Conn, in *bufio.Reader) {
			_, _ = in.ReadByte()
			_ = there.Close()
		})
		if v := c.Send(t.Context(), op); v.Class != offline.ClassDoubt || *dials != 1 {
			t.Errorf("%+v %+v after %d dials", v, v.Fault, *dials)
		}
		<-over
	})
}

// TestSealedConnectionWritesNothing: a request that was given up unwritten cannot leave later.
func TestSealedConnectionWritesNothing(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	c := &countedConn{Conn: here}
	c.lease()
	if c.seal() {
		t.Error("written before anything was")
	}
	if n, err := c.Write([]byte("POST")); n != 0 || !errors.Is(err, errSealed) {
		t.Errorf("%d %v", n, err)
	}
	// A write that hangs may have left: nobody can tell.
	here, there = net.Pipe()
	defer there.Close()
	c = &countedConn{Conn: here}
	c.lease()
	ended := make(chan struct{})
	go func() { defer close(ended); _, _ = c.Write([]byte("POST")) }()
	one := make([]byte, 1)
	if _, err := there.Read(one); err != nil {
		t.Fatal(err)
	}
	if !c.seal() {
		t.Error("a byte was read, and seal says that none left")
	}
	<-ended
}

// TestTLS: a store's own root is trusted where it is named, nothing else is, and over TLS a dead server is no doubt.
func TestTLS(t *testing.T) {
	sim := newSim(t, cloudsim.Options{})
	srv := httptest.NewTLSServer(sim)
	t.Cleanup(srv.Close)
	op := purchase(vendorSale(t, "complete"))
	stranger := newClient(t, nil, func(c *Config) { c.Endpoint = srv.URL + cloudsim.Path })
	if v := stranger.Send(t.Context(), op); v.Class != offline.ClassNotExecuted || !strings.Contains(v.Fault.Message, "cloud.ca_file") || len(sim.Ledger()) != 0 {
		t.Errorf("unknown root: %+v %+v", v, v.Fault)
	}
	file := filepath.Join(t.TempDir(), "root.pem")
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(file, root, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nil, func(c *Config) { c.Endpoint = srv.URL + cloudsim.Path; c.CAFile = file })
	for range 3 {
		if v := c.Send(t.Context(), op); v.Class != offline.ClassDelivered {
			t.Errorf("%+v %+v", v, v.Fault)
		}
	}
	sim.FailMutations(cloudsim.ExecuteThenClose, 1)
	if v := c.Send(t.Context(), op); v.Class != offline.ClassDoubt {
		t.Errorf("closed: %+v %+v", v, v.Fault)
	}
	srv.Close()
	if v := c.Send(t.Context(), op); v.Class != offline.ClassNotExecuted {
		t.Errorf("gone: %+v %+v", v, v.Fault)
	}
}

// TestSideBySide: many at once, each answer to its own.
func TestSideBySide(t *testing.T) {
	sim := newSim(t, cloudsim.Options{})
	c := newClient(t, serve(t, sim), nil)
	var wg sync.WaitGroup
	ids := make([]string, 32)
	for i := range ids {
		wg.Go(func() {
			c.Probe(t.Context())
			ids[i] = c.Send(t.Context(), purchase(vendorSale(t, "minimal"))).CloudID
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, id := range ids {
		if id == "" || seen[id] {
			t.Errorf("id %q missing or twice", id)
		}
		seen[id] = true
	}
}
