package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"storeagent/devices/scanner"
	"storeagent/payments/money"
)

// check judges the values that were read.
func (l *loader) check(c *Config) {
	l.checkStore(&c.Store)
	l.checkServer(c.Server)
	if !filepath.IsAbs(c.Data.Dir) {
		l.add("data.dir", "is not an absolute path", `write the whole path, like "/var/lib/storeagent"`)
	}
	if c.Data.KeepDays < 1 {
		l.add("data.keep_days", "must be 1 or more", "")
	}
	l.checkCloud(c.Cloud)
	for i, p := range c.Giftcard.Prefixes {
		if !digits.MatchString(p) {
			l.add(fmt.Sprintf("giftcard.prefixes[%d]", i), "is not a row of digits", `write the first digits of the cards, like "600649"`)
		}
	}
	l.checkPatterns(&c.Scan)
	l.checkReceipt(c)
	l.checkGiftcardLimits(c)
	l.checkDevices(c)
	for i, w := range c.Webhooks {
		if msg := checkURL(w.URL); msg != "" {
			l.add(fmt.Sprintf("webhook[%d].url", i), msg, "")
		}
	}
}

var (
	digits     = regexp.MustCompile(`^[0-9]{1,18}$`)
	deviceName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)
)

func (l *loader) require(key, value string) bool {
	if value == "" {
		l.add(key, "is missing", "")
	}
	return value != ""
}

func (l *loader) checkStore(s *Store) {
	l.require("store.code", s.Code)
	l.require("store.register", s.Register)
	if l.require("store.timezone", s.Timezone) {
		loc, err := time.LoadLocation(s.Timezone)
		if err != nil || s.Timezone == "Local" {
			l.add("store.timezone", "is not a time zone", `write a name like "America/Chicago"`)
		}
		s.Location = loc
	}
	if l.require("store.currency", s.Currency) {
		if _, err := money.Digits(s.Currency); err != nil {
			l.add("store.currency", "is not an ISO 4217 code", `write three capital letters, like "USD"`)
		}
	}
}

func (l *loader) checkServer(s Server) {
	host, p, err := net.SplitHostPort(s.Listen)
	if err != nil || p == "" {
		l.add("server.listen", "is not HOST:PORT", `write "127.0.0.1:8787"`)
	} else if !slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, host) { // the names that callers may use
		l.add("server.listen", "is not 127.0.0.1, [::1] or localhost", `the API is for this machine only: write "127.0.0.1:`+p+`"`)
	}
	for i, o := range s.AllowedOrigins {
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" || u.RawQuery != "" || u.User != nil || strings.Contains(o, "*") {
			l.add(fmt.Sprintf("server.allowed_origins[%d]", i), "is not an origin", `write scheme and host only, like "https://register.example.com"`)
		}
	}
}

func (l *loader) checkCloud(c Cloud) {
	for _, u := range []struct{ key, text string }{{"cloud.endpoint", c.Endpoint}, {"cloud.issuer", c.Issuer}} {
		if l.require(u.key, u.text) {
			if msg := checkURL(u.text); msg != "" {
				l.add(u.key, msg, "")
			}
		}
	}
	l.require("cloud.client_id", c.ClientID)
	l.oneOf("cloud.flow", c.Flow, "device", "browser", "client_credentials")
	if c.Flow == "client_credentials" && c.ClientSecret.IsZero() {
		l.add("cloud.client_secret", "is missing, and flow client_credentials needs it", `write a reference, like "file:/etc/storeagent/client-secret"`)
	}
	l.oneOf("cloud.unknown_outcome", c.UnknownOutcome, "park", "resend")
	if c.UnknownOutcome == "resend" && c.UnknownOutcomeBy == "" {
		l.add("cloud.unknown_outcome_by", "is missing", "sending again what may have arrived can double a sale: name the person who decided it")
	}
	if c.MaxInFlight < 1 || c.MaxInFlight > 64 {
		l.add("cloud.max_in_flight", "must be 1 to 64", "")
	}
	if c.StartRate <= 0 || c.MaxRate < c.StartRate {
		l.add("cloud.max_rate", "must not be below start_rate, and start_rate must be above 0", "")
	}
}

func (l *loader) checkPatterns(s *Scan) {
	s.Parsed = nil
	for i, text := range s.Patterns {
		p, err := scanner.ParsePattern(text)
		if err != nil {
			l.add(fmt.Sprintf("scan.patterns[%d]", i), fmt.Sprintf("%q: %v", text, err),
				`write it like "20IIIIICPPPPK": I item, P price in minor units or W weight in grams, C its check digit, K the last check digit`)
			continue
		}
		s.Parsed = append(s.Parsed, p)
	}
}

func (l *loader) checkGiftcardLimits(c *Config) {
	g := c.Giftcard.Offline
	for _, a := range []struct{ key, text string }{
		{"giftcard.offline.max_amount_per_transaction", g.MaxAmountPerTransaction},
		{"giftcard.offline.max_total_stored_amount", g.MaxTotalStoredAmount},
	} {
		if _, err := money.Digits(c.Store.Currency); a.text == "" || err != nil { // the currency has its own line
			continue
		}
		if m, err := money.Parse(a.text, c.Store.Currency); err != nil || m.Sign() < 0 {
			l.add(a.key, "is not an amount in the store's currency", `write it as a text, like "25.00"`)
		}
	}
	if g.MaxStoredCount < 0 || g.MaxAgeHours < 0 {
		l.add("giftcard.offline", "counts and hours must not be negative", "")
	}
}

func (l *loader) checkDevices(c *Config) {
	first := map[string]int{}
	for i := range c.Devices {
		d := &c.Devices[i]
		key := fmt.Sprintf("device[%d]", i)
		d.Line = l.line(key)
		switch earlier, taken := first[d.Name]; {
		case !deviceName.MatchString(d.Name):
			l.add(key+".name", "is not a device name", "1 to 32 of a-z, 0-9, - and _")
		case taken:
			l.add(key+".name", fmt.Sprintf("%q is already the name of the device in line %d", d.Name, l.line(fmt.Sprintf("device[%d]", earlier))), "give each device its own name")
		default:
			first[d.Name] = i
		}
		l.checkDriver(key, d)
	}
}

func (l *loader) checkDriver(key string, d *Device) {
	n := slices.IndexFunc(l.drivers, func(r Driver) bool { return r.Name == d.Driver })
	if n < 0 {
		names := make([]string, len(l.drivers))
		for i, r := range l.drivers {
			names[i] = r.Name
		}
		l.add(key+".driver", fmt.Sprintf("there is no driver %q", d.Driver), "drivers are: "+strings.Join(names, ", "))
		return
	}
	r := l.drivers[n]
	d.Category = r.Category
	if len(r.Schemes) == 0 {
		if d.Port.Scheme != "" {
			l.add(key+".port", fmt.Sprintf("driver %s has no port of its own", r.Name), "leave the line out")
		}
	} else if d.Port.Scheme == "" {
		l.add(key+".port", "is missing", `storeagent devices shows what is plugged in and the line it wants`)
	} else if !slices.Contains(r.Schemes, d.Port.Scheme) {
		l.add(key+".port", fmt.Sprintf("driver %s does not work over %q", r.Name, d.Port.Scheme), "it works over: "+strings.Join(r.Schemes, ", "))
	}
	d.Decoded = r.Options()
	l.options(key+".options", d.Options, d.Decoded)
}

func (l *loader) oneOf(key, value string, words ...string) {
	if !slices.Contains(words, value) {
		l.add(key, fmt.Sprintf("%q is none of: %s", value, strings.Join(words, ", ")), "")
	}
}

// suggest names the known key nearest to an unknown one, or lists what is known at that place.
func suggest(path []string, in any) string {
	t := reflect.TypeOf(in)
	for len(path) > 0 {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return ""
		}
		var known []string
		var next reflect.Type
		for i := range t.NumField() {
			name := t.Field(i).Tag.Get("toml")
			if name == "" || name == "-" {
				continue
			}
			known = append(known, name)
			if name == path[0] {
				next = t.Field(i).Type
			}
		}
		if next == nil {
			best := slices.MinFunc(known, func(a, b string) int { return distance(a, path[0]) - distance(b, path[0]) })
			if distance(best, path[0]) <= 2 {
				return fmt.Sprintf("did you mean %q?", best)
			}
			return "known here: " + strings.Join(known, ", ")
		}
		t, path = next, path[1:]
	}
	return ""
}

// distance is the Levenshtein distance of two short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diag, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diag+cost)
		}
	}
	return row[len(b)]
}
