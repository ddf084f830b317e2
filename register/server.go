package register

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/errgroup"

	"storeagent/devices/printer/preview"
	"storeagent/devices/scanner"
	"storeagent/offline"
	"storeagent/payments/money"
	"storeagent/register/receipt"
	"storeagent/register/wire"
)

// Time limits of connections; those of single requests are in gate.go.
const (
	headerTimeout   = 5 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second
	maxHeader       = 32 << 10
)

// Config is what a Server is made of. All interfaces are needed.
type Config struct {
	Port           int      // our port, for the Host check; 0 takes that of the first listener
	AllowedOrigins []string // browser origins that may call, exactly as browsers send them
	Version        string

	StoreCode string
	Register  string
	Currency  string // ISO 4217, for amounts that come without one

	Receipts *receipt.Form // how the store wants its receipts

	GiftcardPrefixes []string          // scans that begin so are gift cards
	Patterns         []scanner.Pattern // the store's codes with a price or weight in them

	Keys     Keys
	Events   Events
	Pairings Pairings
	Sales    Sales
	Queue    Queue
	Payments Payments
	// Giftcards is nil where no gift cards are taken.
	Giftcards Giftcards
	// Catalogue is nil where there is none.
	Catalogue Catalogue
	Printing  Printing
	Devices   Devices
	Counter   Counter
	Drawers   Drawers
	Audit     Auditor
	SignIn    offline.SignIn
	Upkeep    Upkeep
	Findings  Findings
	Schema    Schema
	// Typesetter draws the scripts of a preview that need more than a cell a character; nil shows boxes for them.
	Typesetter preview.Typesetter

	// Status gives what only cmd knows, from memory.
	Status func() Extra
	// Ready says whether a sale could be accepted now. It answers at once.
	Ready func(ctx context.Context) error
	Log   *slog.Logger
}

// Extra is the part of GET /v1/status that no interface above gives. Problems are those of queue, disk and cloud;
// those of devices, terminals and sign-in are found here.
type Extra struct {
	FreeBytes   int64
	Backup      wire.Backup
	ClockSkewMS *int64 // nil until the cloud was asked
	Problems    []wire.StatusProblem
}

// Server is the localhost API. It is safe for concurrent use.
type Server struct {
	cfg       Config
	started   time.Time
	boundPort atomic.Int32

	mux       *http.ServeMux
	api       huma.API
	byPattern map[string]*route
	openAPI   []byte
	page      console
	links     consoleLinks
	paper     *preview.Renderer

	grants   grants
	flights  inFlight
	claims   claims
	changes  changes
	codeRefs codeRefs
	template templateTrouble
	metrics  *metrics

	stopOnce sync.Once
	stop     chan struct{} // closed when streams and long polls must end
}

// New makes a Server. It opens nothing.
func New(c Config) (*Server, error) {
	if c.Currency == "" || c.Receipts == nil || c.Log == nil || c.Ready == nil || c.Status == nil {
		return nil, errors.New("register: Currency, Receipts, Log, Ready and Status are needed")
	}
	if _, err := money.Digits(c.Currency); err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	s := &Server{
		cfg: c, started: time.Now().UTC(), mux: http.NewServeMux(),
		grants:  grants{store: c.Pairings},
		flights: inFlight{keys: map[inFlightKey]struct{}{}},
		claims:  claims{held: map[string]claim{}},
		changes: newChanges(),
		page:    newConsole(),
		links:   consoleLinks{until: map[[32]byte]time.Time{}},
		stop:    make(chan struct{}),
	}
	s.boundPort.Store(int32(c.Port)) //nolint:gosec // a port
	s.metrics = newMetrics(s)
	var err error
	if s.paper, err = preview.New(c.Typesetter); err != nil {
		return nil, fmt.Errorf("load the fonts of the preview: %w", err)
	}
	if err := s.build(); err != nil {
		return nil, err
	}
	return s, nil
}

// Handler serves the API; Serve does it over listeners.
func (s *Server) Handler() http.Handler { return s }

func (s *Server) port() int { return int(s.boundPort.Load()) }

// Serve answers on the listeners until ctx ends, then lets requests in flight finish for ten seconds, while streams
// and long polls end at once. It returns after all its goroutines ended, and closes the listeners.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	if len(listeners) == 0 {
		return errors.New("serve: no listener")
	}
	if a, ok := listeners[0].Addr().(*net.TCPAddr); ok && s.port() == 0 {
		s.boundPort.Store(int32(a.Port)) //nolint:gosec // a port
	}
	if err := s.grants.load(ctx); err != nil {
		return err
	}
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		group.Go(func() error {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	group.Go(func() error { return s.Run(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		s.endStreams()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if err := srv.Shutdown(end); err != nil {
			s.cfg.Log.WarnContext(end, "requests cut off at the end", slog.Any("error", err))
			return srv.Close()
		}
		return nil
	})
	return group.Wait()
}

// Run writes device changes into the event log until ctx ends. Serve calls it; only a caller that uses Handler
// alone needs to.
func (s *Server) Run(ctx context.Context) error {
	s.flushChanges(ctx)
	return nil
}

func (s *Server) endStreams() { s.stopOnce.Do(func() { close(s.stop) }) }

// maxWait is the longest wait= of a long poll, in seconds.
const maxWait = 120

// waiting is a context for a long poll: it ends after the seconds asked for, with the caller, or with the server.
func (s *Server) waiting(ctx context.Context, seconds int) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// newToken makes a token of 32 random bytes and the digest that is stored of it.
func newToken(random func([]byte) (int, error)) (token string, hash [32]byte, err error) {
	var b [32]byte
	if _, err := random(b[:]); err != nil {
		return "", hash, fmt.Errorf("make token: %w", err)
	}
	token = "sa_" + base64.RawURLEncoding.EncodeToString(b[:])
	return token, sha256.Sum256([]byte(token)), nil
}
