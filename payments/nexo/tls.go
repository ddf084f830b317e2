package nexo

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
)

// commonName is how certificates of terminals are named (Adyen documentation, "Protect local communications"): the
// terminal's own POIID, or a name that older terminals share.
var commonName = regexp.MustCompile(`^(?:([a-zA-Z0-9]+-[a-zA-Z0-9]+)|legacy-terminal-certificate)\.(?:live|test)\.terminal\.adyen\.com$`)

// tlsConfig pins the terminal: its certificate must chain to one of roots and bear the POIID. The address of the
// terminal is never in its certificate, which is why the host name check is replaced, not left out.
func tlsConfig(roots *x509.CertPool, poiid string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does it, on every connection
		VerifyConnection: func(cs tls.ConnectionState) error {
			return verify(cs.PeerCertificates, roots, poiid)
		},
	}
}

// untrustedError is a terminal that could not show a certificate we trust.
type untrustedError struct{ err error }

func (e *untrustedError) Error() string { return e.err.Error() }
func (e *untrustedError) Unwrap() error { return e.err }

func verify(chain []*x509.Certificate, roots *x509.CertPool, poiid string) error {
	if len(chain) == 0 {
		return &untrustedError{errors.New("terminal showed no certificate")}
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}); err != nil {
		return &untrustedError{fmt.Errorf("certificate of the terminal: %w", err)}
	}
	name := chain[0].Subject.CommonName
	m := commonName.FindStringSubmatch(name)
	switch {
	case m == nil:
		return &untrustedError{fmt.Errorf("certificate is for %q, which is no terminal", name)}
	case m[1] != "" && m[1] != poiid:
		return &untrustedError{fmt.Errorf("certificate is for terminal %q, not for %q", m[1], poiid)}
	}
	return nil
}

// rootPool reads the PEM file's certificates.
func rootPool(pem []byte) (*x509.CertPool, error) {
	if len(pem) == 0 {
		return nil, errors.New("nexo terminal root: name the PEM file of the root certificate that signs your terminals; without it the terminal cannot be trusted")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("nexo terminal root: the file holds no PEM certificate")
	}
	return pool, nil
}
