package nexo

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Key derivation of the local protection (Adyen documentation, "Protect local communications"): PBKDF2 with
// HMAC-SHA1 over the passphrase gives 80 bytes, parted into HMAC key, AES key and initialisation vector.
const (
	salt      = "AdyenNexoV1Salt"
	rounds    = 4000
	macSize   = 32
	keySize   = 32
	nonceSize = aes.BlockSize
)

// cryptoVersion is the only AdyenCryptoVersion there is.
const cryptoVersion = 1

// sealer protects messages with one shared passphrase. It is safe for concurrent use.
type sealer struct {
	identifier string
	version    int
	macKey     []byte
	block      cipher.Block
	iv         []byte
}

func newSealer(identifier string, version int, passphrase string) (*sealer, error) {
	derived, err := pbkdf2.Key(sha1.New, passphrase, []byte(salt), rounds, macSize+keySize+aes.BlockSize)
	if err != nil {
		return nil, fmt.Errorf("derive keys from the passphrase: %w", err)
	}
	block, err := aes.NewCipher(derived[macSize : macSize+keySize])
	if err != nil {
		return nil, fmt.Errorf("derive keys from the passphrase: %w", err)
	}
	return &sealer{identifier: identifier, version: version, macKey: derived[:macSize], block: block, iv: derived[macSize+keySize:]}, nil
}

// sealed is a protected message as it stands inside SaleToPOIRequest and SaleToPOIResponse.
type sealed struct {
	MessageHeader   header
	NexoBlob        []byte
	SecurityTrailer trailer
}

type trailer struct {
	AdyenCryptoVersion int
	KeyIdentifier      string
	KeyVersion         int
	Nonce              []byte
	Hmac               []byte
}

// seal protects clear, the JSON text of a whole message with header h, under a fresh nonce.
func (s *sealer) seal(h header, clear []byte) sealed {
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails, says its documentation
	return s.sealWith(h, clear, nonce)
}

func (s *sealer) sealWith(h header, clear, nonce []byte) sealed {
	pad := aes.BlockSize - len(clear)%aes.BlockSize // PKCS #7
	blob := make([]byte, 0, len(clear)+pad)
	blob = append(blob, clear...)
	for range pad {
		blob = append(blob, byte(pad))
	}
	cipher.NewCBCEncrypter(s.block, s.vector(nonce)).CryptBlocks(blob, blob)
	return sealed{MessageHeader: h, NexoBlob: blob, SecurityTrailer: trailer{
		AdyenCryptoVersion: cryptoVersion, KeyIdentifier: s.identifier, KeyVersion: s.version, Nonce: nonce, Hmac: s.mac(clear),
	}}
}

// errForged is every way in which a message is not what a holder of the passphrase wrote. One error for all of them
// tells a forger nothing.
var errForged = errors.New("message is not protected with our passphrase")

// open gives the clear text of a protected message. Its header is not looked at.
func (s *sealer) open(m sealed) ([]byte, error) {
	t := m.SecurityTrailer
	if t.AdyenCryptoVersion != cryptoVersion || t.KeyIdentifier != s.identifier || t.KeyVersion != s.version {
		return nil, fmt.Errorf("terminal uses key %q version %d, we use %q version %d", t.KeyIdentifier, t.KeyVersion, s.identifier, s.version)
	}
	if len(t.Nonce) != nonceSize || len(m.NexoBlob) == 0 || len(m.NexoBlob)%aes.BlockSize != 0 {
		return nil, errForged
	}
	clear := make([]byte, len(m.NexoBlob))
	cipher.NewCBCDecrypter(s.block, s.vector(t.Nonce)).CryptBlocks(clear, m.NexoBlob)
	clear, padded := unpad(clear)
	if !hmac.Equal(s.mac(clear), t.Hmac) || !padded { // the MAC is always computed, good padding or not
		return nil, errForged
	}
	return clear, nil
}

// unpad takes PKCS #7 padding off; text with wrong padding comes back whole.
func unpad(b []byte) (text []byte, ok bool) {
	n := int(b[len(b)-1])
	if n == 0 || n > aes.BlockSize {
		return b, false
	}
	for _, c := range b[len(b)-n:] {
		if int(c) != n {
			return b, false
		}
	}
	return b[:len(b)-n], true
}

func (s *sealer) vector(nonce []byte) []byte {
	iv := make([]byte, aes.BlockSize)
	for i := range iv {
		iv[i] = s.iv[i] ^ nonce[i]
	}
	return iv
}

func (s *sealer) mac(clear []byte) []byte {
	m := hmac.New(sha256.New, s.macKey)
	m.Write(clear)
	return m.Sum(nil)
}
