package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"storeagent/devices/devicesim"
	"storeagent/offline/cloudsim"
	"storeagent/payments/terminalsim"
)

// cloudClientID is the client that the simulated sign-in server lets in.
const cloudClientID = "storeagent"

// The gift card of the simulated cloud: 25.00 are on it.
const (
	giftcardCode = "6006491000000001"
	giftcardPIN  = "83519274"
	giftcardID   = "30004"
)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// patience is how long is waited for what must come; it bounds a hang and judges nothing.
const patience = 90 * time.Second

// shop is a whole simulated store: the devices on the counter, the cloud, the line to it, and the agent as a process
// of its own that can be killed. demo, the end-to-end tests and the benchmarks run on it.
type shop struct {
	dir      string
	cloud    *cloudsim.Sim
	line     *line
	terminal *terminalsim.ZVT
	printer  *devicesim.Printer
	scanner  *devicesim.Scanner
	ports    map[string]string // device name → port of the configuration
	cables   map[string]*lead  // device name → its cable, where there are ptys
	listen   string            // host:port of the agent's API
	program  []string          // how the agent is started, without its arguments
	pick     func() int        // the next port to try for what is given up and taken again
	flags    []string          // of serve, besides --config

	cancel context.CancelFunc
	sims   *errgroup.Group

	agent *agentProcess
}

// openShop builds the store in dir, which must exist, and switches the devices and the cloud on. The agent is not
// started. Shops that are open at once must not pick the same ports. onStep hears what the card terminal does; it may be
// nil.
func openShop(ctx context.Context, dir string, program []string, pick func() int, onStep func(string)) (*shop, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &shop{dir: dir, program: program, pick: pick, cancel: cancel, ports: map[string]string{}, cables: map[string]*lead{}}
	s.sims, ctx = errgroup.WithContext(ctx)
	s.terminal = terminalsim.NewZVT(terminalsim.Options{Currency: "840", Password: "000000", OnStep: onStep})
	s.printer = devicesim.NewPrinter(devicesim.PrinterOptions{Columns: 42, ProcessID: true})
	err := errors.Join(
		s.plugIn(ctx, "card", func(ctx context.Context, rw io.ReadWriteCloser, serial bool) error {
			return serveTerminal(ctx, s.terminal, rw, serial)
		}),
		s.plugIn(ctx, "paper", func(ctx context.Context, rw io.ReadWriteCloser, _ bool) error { return s.printer.Serve(ctx, rw) }),
		s.plugInScanner(ctx),
		s.openCloud(ctx),
		s.configure(ctx),
	)
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// plugIn puts a device on a pty, or where there are none on a TCP port.
func (s *shop) plugIn(ctx context.Context, name string, device func(ctx context.Context, rw io.ReadWriteCloser, serial bool) error) error {
	if runtime.GOOS == "linux" {
		link := filepath.Join(s.dir, "tty-"+name)
		pty, err := devicesim.OpenPTY(link)
		if err != nil {
			return err
		}
		cable := &lead{PTY: pty}
		s.cables[name] = cable
		s.ports[name] = "serial:" + link + "?baud=9600&stop=2"
		s.sims.Go(func() error {
			defer pty.Close()
			return servePTY(ctx, cable, func(ctx context.Context, rw io.ReadWriteCloser) error { return device(ctx, rw, true) })
		})
		return nil
	}
	l, err := listenLoopback(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.ports[name] = "tcp:" + l.Addr().String()
	s.sims.Go(func() error {
		return serveTCP(ctx, l, func(ctx context.Context, conn net.Conn) error { return device(ctx, conn, false) })
	})
	return nil
}

// lead is the cable of a device. While somebody holds it, it is not plugged in again.
type lead struct {
	*devicesim.PTY
	held sync.Mutex
}

// Replug plugs it in again.
func (l *lead) Replug() error {
	l.held.Lock()
	defer l.held.Unlock()
	return l.PTY.Replug()
}

// plugInScanner puts the scanner on its cable; scans go out through s.scan.
func (s *shop) plugInScanner(ctx context.Context) error {
	out := &latest{}
	s.scanner = devicesim.NewScanner(out, devicesim.ScannerOptions{AIM: true})
	return s.plugIn(ctx, "hand", func(ctx context.Context, rw io.ReadWriteCloser, _ bool) error {
		out.set(rw)
		_, err := io.Copy(io.Discard, contextReader(ctx, rw))
		return err
	})
}

// latest writes to the connection set last.
type latest struct {
	mu sync.Mutex
	w  io.ReadWriter
}

func (l *latest) set(w io.ReadWriter) {
	l.mu.Lock()
	l.w = w
	l.mu.Unlock()
}

// Write implements io.Writer.
func (l *latest) Write(b []byte) (int, error) {
	l.mu.Lock()
	w := l.w
	l.mu.Unlock()
	if w == nil {
		return 0, errors.New("scanner is not plugged in")
	}
	return w.Write(b)
}

// Read implements io.Reader; the scanner listens to nobody.
func (l *latest) Read([]byte) (int, error) { return 0, io.EOF }

// contextReader ends a blocked Read of rw when ctx ends, by closing it.
func contextReader(ctx context.Context, rw io.ReadWriteCloser) io.Reader {
	context.AfterFunc(ctx, func() { rw.Close() })
	return rw
}

// openCloud starts the cloud behind a line that can be cut.
func (s *shop) openCloud(ctx context.Context) error {
	l, err := listenLasting(ctx, s.pick)
	if err != nil {
		return err
	}
	if s.cloud, err = newCloud("http://"+l.Addr().String(), time.Minute, cloudsim.Options{}); err != nil {
		l.Close()
		return err
	}
	s.line = newLine(l, s.cloud)
	s.sims.Go(func() error {
		<-ctx.Done()
		s.line.close()
		return nil
	})
	return nil
}

// reuseWindow is how long the simulated sign-in server forgives the second use of a refresh token, as real ones do for
// some seconds. A power cut in the middle of a refresh would end the sign-in without it.
const reuseWindow = 5 * time.Minute

// newCloud makes the simulated cloud of one store, gzip on and with access tokens that are good for that long. It finds
// purchases by the query of that name; "" is none, as the vendor documents none.
func newCloud(issuer string, access time.Duration, o cloudsim.Options) (*cloudsim.Sim, error) {
	signIn, err := cloudsim.NewSignIn(cloudsim.SignInOptions{
		Issuer: issuer, ClientID: cloudClientID, AccessLifetime: access, Interval: time.Second, ReuseWindow: reuseWindow,
	})
	if err != nil {
		return nil, err
	}
	o.SignIn, o.Goods, o.Barcodes, o.PINs, o.DelayPeriod = signIn, cloudGoods(), true, map[string]string{giftcardID: giftcardPIN}, time.Hour
	sim, err := cloudsim.New(o)
	if err != nil {
		return nil, err
	}
	sim.Gzip(true)
	return sim, nil
}

// cloudGoods is the stock that the simulated cloud knows: what the demo sells, and two items more.
func cloudGoods() []cloudsim.Goods {
	var list []cloudsim.Goods
	uom, quantity := "EA", cloudsim.Number("40")
	for _, g := range append(stock(), goods{"0012345678905", "GUM001", "Gum small pack", "1.99"}, goods{"028400064057", "LAYS002", "Lays Chips 13 oz", "3.98"}) {
		price := cloudsim.Number(g.price)
		list = append(list, cloudsim.Goods{SKU: g.sku, Name: &g.name, LongName: &g.name, SaleUom: &uom, StockUom: &uom, Barcode: &g.code,
			Warehouses: []cloudsim.Shelf{{WarehouseCode: "DALLAS", SKU: g.sku, BasePrice: &price, QuantityAvailable: &quantity}}})
	}
	return list
}

func listenLoopback(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// Ports that can be given up and taken again: below the range from which systems give ports to outgoing connections
// (IANA: from 49152, Linux: from 32768).
const (
	firstPort = 20000
	portCount = 12000
)

// anyPort picks one of them.
func anyPort() int { return firstPort + rand.IntN(portCount) }

// listenLasting listens on a port that pick gave.
func listenLasting(ctx context.Context, pick func() int) (net.Listener, error) {
	var err error
	for range 50 {
		var l net.Listener
		if l, err = listenLoopback(ctx, fmt.Sprintf("127.0.0.1:%d", pick())); err == nil {
			return l, nil
		}
	}
	return nil, err
}

// configure writes storeagent.toml.
func (s *shop) configure(ctx context.Context) error {
	l, err := listenLasting(ctx, s.pick) // the agent keeps the port across restarts
	if err != nil {
		return err
	}
	s.listen = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "zvt-password"), []byte("000000\n"), 0o600); err != nil {
		return err
	}
	text := fmt.Sprintf(`[store]
code = "DALLAS"
register = "LANE-3"
timezone = "America/Chicago"
currency = "USD"
name = "Corner Shop"
address = "1 Main Street\nDallas"

[server]
listen = %q

[data]
dir = %q

[cloud]
endpoint = "http://%[3]s%[4]s"
issuer = "http://%[3]s"
client_id = %[5]q
start_rate = 50
resume_jitter = "1s"

[giftcard]
prefixes = ["600649"]
hold = "1h"
[giftcard.offline]
allow_use = true

[[device]]
name = "card"
driver = "zvt"
port = %[6]q
[device.options]
password = "file:%[7]s"

[[device]]
name = "paper"
driver = "escpos"
port = %[8]q

[[device]]
name = "hand"
driver = "scanner"
port = %[9]q
`, s.listen, filepath.Join(s.dir, "data"), s.line.address(), cloudsim.Path, cloudClientID, s.ports["card"],
		filepath.ToSlash(filepath.Join(s.dir, "zvt-password")), s.ports["paper"], s.ports["hand"])
	return os.WriteFile(s.config(), []byte(text), 0o600)
}

func (s *shop) config() string { return filepath.Join(s.dir, "storeagent.toml") }

// url is the base address of the agent's API.
func (s *shop) url() string { return "http://" + s.listen }

// close stops the agent, the devices and the cloud.
func (s *shop) close() {
	s.kill()
	s.cancel()
	_ = s.sims.Wait() // the simulators have nothing to say at the end
}

// agentProcess is one run of the agent.
type agentProcess struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it ended
}

// start runs the agent and waits until it can accept sales.
func (s *shop) start(ctx context.Context) error {
	logFile, err := os.OpenFile(filepath.Join(s.dir, "agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	args := append(append([]string{}, s.program[1:]...), "serve", "--config", s.config())
	args = append(args, s.flags...)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), s.program[0], args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env = append(os.Environ(), "STOREAGENT_AS_PROGRAM=1")
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	p := &agentProcess{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // it was killed, or its log says why
		close(p.done)
	}()
	s.agent = p
	return s.waitReady(ctx)
}

func (s *shop) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url()+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-s.agent.done:
			return fmt.Errorf("the agent ended at once; its log:\n%s", s.log())
		case <-ctx.Done():
			return fmt.Errorf("the agent is not ready after %v; its log:\n%s", patience, s.log())
		}
	}
}

// kill ends the agent like a power cut: no goodbye.
func (s *shop) kill() {
	if s.agent == nil {
		return
	}
	_ = s.agent.cmd.Process.Kill() // it may have ended by itself
	<-s.agent.done
	s.agent = nil
}

func (s *shop) log() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "agent.log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// line is the internet connection of the store: while it is cut, nobody listens at the cloud's address.
type line struct {
	addr string

	mu      sync.Mutex
	handler http.Handler
	srv     *http.Server
	ended   chan struct{}
	conns   map[net.Conn]http.ConnState
}

func newLine(l net.Listener, h http.Handler) *line {
	n := &line{handler: h, addr: l.Addr().String(), conns: map[net.Conn]http.ConnState{}}
	n.serve(l)
	return n
}

func (n *line) address() string { return n.addr }

func (n *line) serve(l net.Listener) {
	srv := &http.Server{Handler: n, ReadHeaderTimeout: 5 * time.Second, ErrorLog: discardLog(), ConnState: n.note}
	ended := make(chan struct{})
	n.mu.Lock()
	n.srv, n.ended = srv, ended
	n.mu.Unlock()
	go func() {
		_ = srv.Serve(l) // ends when the line is cut
		close(ended)
	}()
}

// ServeHTTP implements http.Handler: it passes on to whoever stands at the other end.
func (n *line) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	h := n.handler
	n.mu.Unlock()
	h.ServeHTTP(w, r)
}

// insert puts somebody into the line, like a proxy, who is given what stood there.
func (n *line) insert(between func(next http.Handler) http.Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handler = between(n.handler)
}

func (n *line) note(c net.Conn, st http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if st == http.StateClosed || st == http.StateHijacked {
		delete(n.conns, c)
		return
	}
	n.conns[c] = st
}

// cut takes the cloud away: new connections are refused and idle ones end. A request that the cloud is working on
// stays without an answer, as on a real line.
func (n *line) cut() {
	n.mu.Lock()
	srv, ended := n.srv, n.ended
	n.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background()) // Shutdown with an ended context closes listeners and idle connections only
	cancel()
	_ = srv.Shutdown(ctx)
	<-ended
}

// mend brings the cloud back at the same address.
func (n *line) mend(ctx context.Context) error {
	l, err := listenLoopback(ctx, n.addr)
	if err != nil {
		return err
	}
	n.serve(l)
	return nil
}

func (n *line) close() {
	n.mu.Lock()
	srv, ended := n.srv, n.ended
	conns := n.conns
	n.conns = map[net.Conn]http.ConnState{}
	n.mu.Unlock()
	for c := range conns {
		c.Close()
	}
	_ = srv.Close()
	<-ended
}
