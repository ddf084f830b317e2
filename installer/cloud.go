package installer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"storeagent/installer/config"
	"storeagent/internal/trust"
	"storeagent/offline/signin"
)

const (
	cloudLimit = 8 * time.Second // for one step on the way to the cloud
	clockSlack = 2 * time.Minute // beyond it sign-ins and certificates suffer
	answerSize = 64 << 10        // bytes read of the cloud's answer to the probe
)

// cloud walks the way to the API and to the sign-in server step by step: name, connection, certificate, what answers,
// the clock, and whether the sign-in of the configuration is offered there. Nothing is written and nobody signed in.
func cloud(ctx context.Context, cfg *config.Config, settings func(*config.Config) (signin.Config, error)) []Finding {
	roots, err := trust.Roots(cfg.Cloud.CAFile)
	if err != nil {
		return []Finding{{Part: "cloud", Name: "cloud.ca_file", Level: Failure, Code: "config", Message: err.Error(), Hint: "name a readable file with certificates in PEM form, or take the line out"}}
	}
	out := []Finding{reach(ctx, "cloud.endpoint", cfg.Cloud.Endpoint, roots)}
	var clock *Finding
	if out[0].Level == OK {
		var said *Finding
		said, clock = knock(ctx, cfg.Cloud.Endpoint, roots)
		if said != nil {
			out = append(out, *said)
		}
	}
	way := reach(ctx, "cloud.issuer", cfg.Cloud.Issuer, roots)
	if out = append(out, way); way.Level == OK {
		out = append(out, signInServer(ctx, cfg, settings, &clock)...)
	}
	if clock != nil {
		out = append(out, *clock)
	}
	return out
}

// reach looks up the name, connects and shakes hands. key is the configuration key of the address.
func reach(ctx context.Context, key, address string, roots *x509.CertPool) Finding {
	ctx, cancel := context.WithTimeout(ctx, cloudLimit)
	defer cancel()
	f := Finding{Part: "cloud", Name: key, Level: Failure}
	u, err := url.Parse(address)
	if err != nil { // the configuration was checked, so this is only to be sure
		f.Code, f.Message = "config", err.Error()
		return f
	}
	host, number := u.Hostname(), u.Port()
	if number == "" {
		number = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
		f.Code, f.Message = "dns", "the name "+host+" cannot be looked up: "+cause(err)
		f.Hint = "check the network cable, then this machine's DNS server, then the spelling in " + key
		return f
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(host, number))
	if err != nil {
		f.Code, f.Message = "tcp", host+" takes no connection on port "+number+": "+cause(err)
		f.Hint = "check the store's internet line and firewall, then the port in " + key
		return f
	}
	defer conn.Close()
	if u.Scheme == "http" {
		f.Level, f.Message = OK, host+" answers on port "+number+" (without TLS, on this machine)"
		return f
	}
	secure := tls.Client(conn, &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		f.Code = "tls"
		f.Message, f.Hint = certificateTrouble(host, key, err)
		return f
	}
	until := secure.ConnectionState().PeerCertificates[0].NotAfter
	f.Level, f.Message = OK, fmt.Sprintf("%s answers on port %s, its certificate is good until %s", host, number, until.Format(time.DateOnly))
	return f
}

// cause strips what net puts before the reason and the addresses in it.
func cause(err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		if op.Timeout() {
			return "no answer at all"
		}
		return op.Err.Error()
	}
	return err.Error()
}

// certificateTrouble words a failed TLS handshake.
func certificateTrouble(host, key string, err error) (message, hint string) {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "the certificate of " + host + " is signed by nobody this machine trusts",
			"if the store has a TLS root of its own, name its file in cloud.ca_file; a guest network's login page looks like this too"
	case errors.As(err, &name):
		return "the certificate there is for another name than " + host, "correct " + key + "; a guest network's login page looks like this too"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate of " + host + " is out of its dates", "check this machine's date and clock first; if they are right, tell whoever runs the cloud"
	case errors.As(err, &record):
		return "what answers there does not speak TLS", "correct the port in " + key
	}
	return "no safe connection to " + host + ": " + cause(err), "check the store's firewall: does something in between open TLS connections?"
}

// knock asks the API the one question that needs no account, "what are you?" (GraphQL, section 4.4 Type Name
// Introspection), and compares clocks by the answer's Date header.
func knock(ctx context.Context, endpoint string, roots *x509.CertPool) (said, clock *Finding) {
	ctx, cancel := context.WithTimeout(ctx, cloudLimit)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	f := Finding{Part: "cloud", Name: "cloud.endpoint", Level: Warning, Code: "endpoint"}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(`{"query":"{__typename}"}`))
	if err != nil {
		f.Message = err.Error()
		return &f, nil
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	before := time.Now()
	answer, err := client.Do(req)
	if err != nil {
		f.Message, f.Hint = "the connection stands, but the question is not answered: "+cause(err), "try again in a minute; then tell whoever runs the cloud"
		return &f, nil
	}
	defer answer.Body.Close()
	clock = clockAgainst(answer.Header, before, time.Now())
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, answerSize)) // what it says is of no interest without an account
	media, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	switch {
	case answer.StatusCode >= 500:
		f.Message, f.Hint = fmt.Sprintf("the cloud answers %d: it is not well", answer.StatusCode), "nothing to do here: sales are kept and sent later"
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		f.Level = Failure
		f.Message, f.Hint = "the answer points elsewhere: "+answer.Header.Get("Location"), "correct cloud.endpoint, or log in to the guest network in the way"
	case answer.StatusCode == http.StatusNotFound, answer.StatusCode == http.StatusMethodNotAllowed:
		f.Level = Failure
		f.Message, f.Hint = fmt.Sprintf("something answers, but %d at that path", answer.StatusCode), "correct the path in cloud.endpoint"
	case media == "text/html":
		f.Level = Failure
		f.Message, f.Hint = "a web page answers in place of the API", "correct cloud.endpoint, or log in to the guest network in the way"
	default:
		return nil, clock
	}
	return &f, clock
}

// clockAgainst compares this machine's clock with a Date header, which counts whole seconds; nil where there is none.
func clockAgainst(h http.Header, before, after time.Time) *Finding {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return nil
	}
	f := clockFinding(before.Add(after.Sub(before) / 2).Sub(at))
	return &f
}

// clockFinding judges how far this machine is ahead of the cloud.
func clockFinding(off time.Duration) Finding {
	f := Finding{Part: "cloud", Name: "clock", Level: OK, Message: "this machine's clock agrees with the cloud's"}
	if off.Abs() <= clockSlack {
		return f
	}
	side := "ahead of"
	if off < 0 {
		side = "behind"
	}
	f.Level, f.Code, f.Message = Warning, "clock", fmt.Sprintf("this machine's clock is %s %s the cloud's", off.Abs().Round(time.Minute), side)
	f.Hint = "set the clock and the time zone, and turn on time synchronisation"
	return f
}

// signInServer asks the sign-in server for its announcement. Its clock counts where the API showed none.
func signInServer(ctx context.Context, cfg *config.Config, settings func(*config.Config) (signin.Config, error), clock **Finding) []Finding {
	sc, err := settings(cfg)
	if err != nil {
		return []Finding{{Part: "cloud", Name: "cloud.client_secret", Level: Failure, Code: "config", Message: err.Error(), Hint: "check the reference in cloud.client_secret, and who may read what it names"}}
	}
	ctx, cancel := context.WithTimeout(ctx, cloudLimit)
	defer cancel()
	var out []Finding
	for _, d := range signin.Diagnose(ctx, sc) {
		f := Finding{Part: "cloud", Name: "sign-in " + d.Step, Level: OK, Message: d.Detail, Hint: d.Hint}
		if !d.OK {
			f.Level, f.Code = Failure, d.Step
		}
		switch {
		case d.Step == "clock" && !d.OK:
			f.Name, f.Level = "clock", Warning
			if *clock == nil || (*clock).Level == OK {
				*clock = &f
			}
		case d.OK && slices.Contains([]string{"clock", "tls"}, d.Step): // said already
		default:
			out = append(out, f)
		}
	}
	return out
}

// oneClock leaves the agent's own comparison of clocks out where the cloud was just asked.
func oneClock(list, clouds []Finding) []Finding {
	isClock := func(f Finding) bool { return f.Part == "cloud" && f.Name == "clock" }
	if !slices.ContainsFunc(clouds, isClock) {
		return list
	}
	return slices.DeleteFunc(list, isClock)
}
