package terminalsim

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// nexoBox protects messages as a terminal does, written a second time from the same description, down to PBKDF2
// (RFC 8018, 5.2), so that a misreading of it cannot hide on both sides.
type nexoBox struct{ mac, key, iv []byte }

func newNexoBox(passphrase string) nexoBox {
	var out []byte
	for block := uint32(1); len(out) < 80; block++ {
		prf := hmac.New(sha1.New, []byte(passphrase))
		prf.Write([]byte("AdyenNexoV1Salt"))
		prf.Write(binary.BigEndian.AppendUint32(nil, block))
		u := prf.Sum(nil)
		sum := bytes.Clone(u)
		for range 3999 {
			prf.Reset()
			prf.Write(u)
			u = prf.Sum(u[:0])
			subtle.XORBytes(sum, sum, u)
		}
		out = append(out, sum...)
	}
	return nexoBox{mac: out[:32], key: out[32:64], iv: out[64:80]}
}

type nexoTrailer struct {
	AdyenCryptoVersion int
	KeyIdentifier      string
	KeyVersion         int
	Nonce              string
	Hmac               string
}

func (b nexoBox) cbc(nonce []byte, crypt func(cipher.Block, []byte) cipher.BlockMode, text []byte) {
	block, err := aes.NewCipher(b.key)
	if err != nil {
		panic(err) // 32 bytes are right
	}
	iv := make([]byte, 16)
	subtle.XORBytes(iv, b.iv, nonce)
	crypt(block, iv).CryptBlocks(text, text)
}

func (b nexoBox) sum(text []byte) []byte {
	m := hmac.New(sha256.New, b.mac)
	m.Write(text)
	return m.Sum(nil)
}

func (b nexoBox) seal(text []byte) (blob string, t nexoTrailer) {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails, says its documentation
	n := 16 - len(text)%16
	padded := append(bytes.Clone(text), bytes.Repeat([]byte{byte(n)}, n)...)
	b.cbc(nonce, cipher.NewCBCEncrypter, padded)
	base := base64.StdEncoding
	return base.EncodeToString(padded), nexoTrailer{
		AdyenCryptoVersion: 1, Nonce: base.EncodeToString(nonce), Hmac: base.EncodeToString(b.sum(text)),
	}
}

func (b nexoBox) open(blob string, t nexoTrailer) ([]byte, error) {
	base := base64.StdEncoding
	text, err1 := base.DecodeString(blob)
	nonce, err2 := base.DecodeString(t.Nonce)
	mac, err3 := base.DecodeString(t.Hmac)
	if errors.Join(err1, err2, err3) != nil || len(nonce) != 16 || len(text) == 0 || len(text)%16 != 0 || t.AdyenCryptoVersion != 1 {
		return nil, errors.New("cannot decrypt")
	}
	b.cbc(nonce, cipher.NewCBCDecrypter, text)
	n := int(text[len(text)-1])
	if n < 1 || n > 16 || !bytes.Equal(text[len(text)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, errors.New("cannot decrypt")
	}
	text = text[:len(text)-n]
	if !hmac.Equal(b.sum(text), mac) {
		return nil, errors.New("cannot decrypt")
	}
	return text, nil
}

// NexoCertificate makes a fleet's root certificate and a terminal's certificate signed by it, as the processor does;
// both are good for ten years. The private key of the root is thrown away.
func NexoCertificate(poiid string) (cert tls.Certificate, rootPEM []byte, err error) {
	now := time.Now()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make root key: %w", err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Simulated terminal fleet"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make root certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make terminal key: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano() + 1), Subject: pkix.Name{CommonName: poiid + ".test.terminal.adyen.com"},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make terminal certificate: %w", err)
	}
	cert = tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), nil
}
