package signin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"storeagent/internal/trust"
)

const (
	requestLimit = 30 * time.Second // whole exchange
	bodyLimit    = 1 << 20          // bytes; token answers are some hundred
)

// newHTTPClient makes the one client for everything here: no redirects (a redirect would carry a token to another
// address, and a store's captive portal answers with one), no proxy, limits on time and size.
func newHTTPClient(cfg Config) (*http.Client, error) {
	rt := cfg.Transport
	if rt == nil {
		roots, err := trust.Roots(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read cloud.ca_file: %w", err)
		}
		rt = &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: requestLimit,
			IdleConnTimeout:       30 * time.Second,
			MaxIdleConns:          2,
			ForceAttemptHTTP2:     true,
		}
	}
	return &http.Client{
		Transport:     limitedTransport{rt},
		Timeout:       requestLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// limitedTransport fails the reading of a body that is longer than any honest answer.
type limitedTransport struct{ next http.RoundTripper }

func (t limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: bodyLimit}
	return resp, nil
}

func (t limitedTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type limitedBody struct {
	io.ReadCloser
	left int
}

var errBodyTooLong = errors.New("answer is longer than 1 MiB")

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBodyTooLong
	}
	if len(p) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= n
	return n, err
}

// transportError puts a fault of the way into words. what is the act, such as "reach the sign-in server".
func transportError(what string, err error) *Error {
	var unknownCA x509.UnknownAuthorityError
	var wrongHost x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknownCA):
		return &Error{Code: "tls", Message: "cannot " + what + ": its certificate is signed by nobody this machine trusts; " +
			"if the store has its own root, name its file in cloud.ca_file", Err: err}
	case errors.As(err, &wrongHost):
		return &Error{Code: "tls", Message: "cannot " + what + ": the certificate is for another name; check cloud.issuer, and whether a guest network page is in the way", Err: err}
	case errors.As(err, &invalid):
		if invalid.Reason == x509.Expired {
			return &Error{Code: "tls", Message: "cannot " + what + ": the certificate is out of its dates; check this machine's clock first", Err: err}
		}
		return &Error{Code: "tls", Message: "cannot " + what + ": the certificate is not acceptable", Err: err}
	case errors.As(err, &record):
		return &Error{Code: "tls", Message: "cannot " + what + ": it does not speak TLS at that address; check the port in cloud.issuer", Err: err}
	}
	return &Error{Code: "network", Message: "cannot " + what + "; check the network cable and the name in cloud.issuer", Err: err}
}
