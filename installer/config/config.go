// Package config reads storeagent.toml, strictly: an unknown key, a wrong type, a bad address, an unknown driver or a
// name used twice is refused with file, line and a hint, all of them at once.
//
// It is called by cmd and installer. It knows no driver: the driver table is handed to Load. It imports devices and
// devices/port, and register/receipt to try a template; never a driver, register, offline or a simulator. Format: TOML
// 1.0.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/scanner"
	"storeagent/internal/trust"
	"storeagent/register/receipt"
)

// Config is a checked configuration.
type Config struct {
	Path string `toml:"-"` // the file it came from

	Store    Store     `toml:"store"`
	Receipt  Receipt   `toml:"receipt"`
	Server   Server    `toml:"server"`
	Data     Data      `toml:"data"`
	Cloud    Cloud     `toml:"cloud"`
	Giftcard Giftcard  `toml:"giftcard"`
	Scan     Scan      `toml:"scan"`
	Payments Payments  `toml:"payments"`
	Devices  []Device  `toml:"device"`
	Webhooks []Webhook `toml:"webhook"`
}

// Store says which shop and register this is. Name, Address and TaxID are the receipt's head.
type Store struct {
	Code     string `toml:"code"`
	Register string `toml:"register"`
	Timezone string `toml:"timezone"`
	Currency string `toml:"currency"`
	Name     string `toml:"name"`
	Address  string `toml:"address"` // lines separated by \n
	TaxID    string `toml:"tax_id"`
	Locale   string `toml:"locale"` // BCP 47, "de-DE": words, numbers and dates of receipts

	Location *time.Location `toml:"-"` // of Timezone
}

// Receipt is how the store wants its receipts.
type Receipt struct {
	Template   string            `toml:"template"`    // path of the store's own layout
	Logo       string            `toml:"logo"`        // path of a PNG
	StoredLogo string            `toml:"stored_logo"` // key code of an image in the printer's own memory
	Footer     []string          `toml:"footer"`      // lines
	Words      map[string]string `toml:"words"`       // in place of the locale's

	Form *receipt.Form `toml:"-"` // of all of them, and of Store
}

// Server is the localhost API.
type Server struct {
	Listen         string   `toml:"listen"`
	AllowedOrigins []string `toml:"allowed_origins"`
}

// Data is where everything is kept.
type Data struct {
	Dir      string `toml:"dir"`
	KeepDays int    `toml:"keep_days"`
}

// Cloud is the POS cloud and its sign-in server.
type Cloud struct {
	Endpoint         string   `toml:"endpoint"`
	Issuer           string   `toml:"issuer"`
	ClientID         string   `toml:"client_id"`
	ClientSecret     Secret   `toml:"client_secret"`
	Scopes           []string `toml:"scopes"`
	Audience         string   `toml:"audience"`
	Flow             string   `toml:"flow"`
	CAFile           string   `toml:"ca_file"`
	SendPurchases    bool     `toml:"send_purchases"`
	UnknownOutcome   string   `toml:"unknown_outcome"`
	UnknownOutcomeBy string   `toml:"unknown_outcome_by"`
	PurchaseLookup   bool     `toml:"purchase_lookup"` // settle purchases in doubt by a query that the tenant's schema shows
	MaxInFlight      int      `toml:"max_in_flight"`
	MaxRate          float64  `toml:"max_rate"`   // requests per second
	StartRate        float64  `toml:"start_rate"` // requests per second
	ResumeJitter     Duration `toml:"resume_jitter"`
	PollItemsEvery   Duration `toml:"poll_items_every"`
}

// Giftcard says which codes are gift cards and what may be done with them while offline.
type Giftcard struct {
	Prefixes []string        `toml:"prefixes"`
	Hold     Duration        `toml:"hold"` // after which the cloud drops an authorization nobody captured: its Delay Period
	Offline  GiftcardOffline `toml:"offline"`
}

// GiftcardOffline limits gift card use while the cloud is away. Amounts are decimal texts in the store's currency.
type GiftcardOffline struct {
	AllowUse                bool   `toml:"allow_use"`
	AllowAdd                bool   `toml:"allow_add"`
	MaxAmountPerTransaction string `toml:"max_amount_per_transaction"`
	MaxTotalStoredAmount    string `toml:"max_total_stored_amount"`
	MaxStoredCount          int    `toml:"max_stored_count"`
	MaxAgeHours             int    `toml:"max_age_hours"`
}

// Scan holds the store's own code patterns.
type Scan struct {
	Patterns []string `toml:"patterns"` // such as "20IIIIICPPPPK"

	Parsed []scanner.Pattern `toml:"-"` // of Patterns
}

// Payments has the rules for card payments.
type Payments struct {
	OrphanAfter Duration `toml:"orphan_after"`
}

// Device is one device on the counter.
type Device struct {
	Name    string         `toml:"name"`
	Driver  string         `toml:"driver"`
	Port    port.Address   `toml:"port"`
	Options map[string]any `toml:"options"`

	Line     int              `toml:"-"` // of its [[device]]
	Category devices.Category `toml:"-"`
	Decoded  any              `toml:"-"` // the driver's own option struct, as made by Driver.Options and filled
}

// Webhook is one listener for events.
type Webhook struct {
	URL    string   `toml:"url"`
	Secret Secret   `toml:"secret"`
	Types  []string `toml:"types"`
}

// Driver is one row of the driver table: what Load needs to know of a driver.
type Driver struct {
	Name     string
	Category devices.Category
	Schemes  []string   // port schemes it can work with; none: it has no port
	Options  func() any // a pointer to its option struct with defaults filled in; toml tags name the keys
}

// Secret is a reference to a secret, never its value: "file:/path" or "env:NAME".
type Secret struct{ ref string }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Secret) UnmarshalText(text []byte) error {
	ref := string(text)
	kind, rest, ok := strings.Cut(ref, ":")
	if !ok || rest == "" || kind != "file" && kind != "env" {
		return fmt.Errorf(`a secret is never written here: want "file:/path/to/secret" or "env:NAME"`)
	}
	s.ref = ref
	return nil
}

// IsZero reports whether no reference was given.
func (s Secret) IsZero() bool { return s.ref == "" }

// String names the reference; there is no secret in it.
func (s Secret) String() string { return s.ref }

// ErrNotSet is a secret in a variable that this process does not have. The service may have it.
var ErrNotSet = errors.New("the environment has no")

// Resolve reads the secret, without its last line end. "" stays "".
func (s Secret) Resolve(getenv func(string) string) (string, error) {
	kind, rest, _ := strings.Cut(s.ref, ":")
	switch kind {
	case "file":
		b, err := os.ReadFile(rest)
		if err != nil {
			return "", fmt.Errorf("read secret %s: %w", s.ref, err)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	case "env":
		v := getenv(rest)
		if v == "" {
			return "", fmt.Errorf("read secret %s: %w %s", s.ref, ErrNotSet, rest)
		}
		return v, nil
	}
	return "", nil
}

// Duration is a text like "15m".
type Duration struct{ time.Duration }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf(`%s is no time; write one like "10s" or "15m"`, text)
	}
	d.Duration = v
	return nil
}

// DefaultPath is where the configuration is looked for without a flag and without STOREAGENT_CONFIG.
func DefaultPath(getenv func(string) string) string {
	if p := getenv("STOREAGENT_CONFIG"); p != "" {
		return p
	}
	if runtime.GOOS == "windows" {
		return getenv("ProgramData") + `\storeagent\storeagent.toml`
	}
	return "/etc/storeagent/storeagent.toml"
}

// defaults is the configuration before the file is read.
func defaults() Config {
	c := Config{
		Server:   Server{Listen: "127.0.0.1:8787"},
		Data:     Data{Dir: "/var/lib/storeagent", KeepDays: 30},
		Payments: Payments{OrphanAfter: Duration{15 * time.Minute}},
		Giftcard: Giftcard{
			Hold: Duration{24 * time.Hour},
			Offline: GiftcardOffline{
				AllowAdd: true, MaxAmountPerTransaction: "25", MaxTotalStoredAmount: "250", MaxStoredCount: 50, MaxAgeHours: 24,
			},
		},
		Cloud: Cloud{
			Flow: "device", Scopes: []string{"openid", "offline_access"}, SendPurchases: true, UnknownOutcome: "park",
			MaxInFlight: 8, MaxRate: 100, StartRate: 1, ResumeJitter: Duration{10 * time.Second},
			PollItemsEvery: Duration{15 * time.Minute},
		},
	}
	if runtime.GOOS == "windows" {
		c.Data.Dir = os.Getenv("ProgramData") + `\storeagent\data`
	}
	return c
}

// ListenAddresses gives the addresses to listen on: "localhost" stands for both loopback addresses.
func (s Server) ListenAddresses() []string {
	host, p, err := net.SplitHostPort(s.Listen)
	if err == nil && host == "localhost" {
		return []string{net.JoinHostPort("127.0.0.1", p), net.JoinHostPort("::1", p)}
	}
	return []string{s.Listen}
}

// checkURL says what is wrong with an address of the cloud, "" for nothing.
func checkURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return `want an address like "https://pos.example.com/api/graphql"`
	case u.Scheme == "http" && !trust.Loopback(u.Hostname()):
		return "plain http is refused except to this machine; use https"
	case u.Scheme != "http" && u.Scheme != "https":
		return "want an https address"
	}
	return ""
}
