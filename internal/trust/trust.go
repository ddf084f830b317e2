// Package trust says whom this agent trusts on the network: the names of this machine, and the TLS roots of a store
// beside the system's.
//
// It is called by offline/cloud, offline/signin and installer, so that they cannot disagree. It imports nothing of this
// module. Loopback addresses are those of RFC 1122 section 3.2.1.3 and RFC 4291 section 2.5.3.
package trust

import (
	"crypto/x509"
	"fmt"
	"net"
	"os"
)

// Loopback reports whether a host, without port and brackets, is a loopback address or the name localhost.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Roots gives the system's roots and those of the PEM file; nil, which means the system's, where file is "".
func Roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // a machine without roots of its own
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return pool, nil
}
