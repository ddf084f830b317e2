package offline

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// sealer keeps codes and PINs from being read out of the database: AES-256-GCM (NIST SP 800-38D) with a fresh random
// nonce in front, bound to the transaction and the kind of secret. The keys are derived from the provider's, one per
// purpose, by HMAC-SHA256 over the purpose.
type sealer struct{ keys KeyProvider }

var errUnsealable = errors.New("sealed gift card code does not open with this key")

func (s sealer) derived(ctx context.Context, purpose string) ([]byte, error) {
	key, err := s.keys.Key(ctx)
	if err != nil {
		return nil, fmt.Errorf("get the key for gift cards: %w", err)
	}
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte("storeagent giftcard " + purpose))
	return mac.Sum(nil), nil
}

// stream names a card without its code: equal codes have equal streams, and nobody without the key can try codes.
func (s sealer) stream(ctx context.Context, code string) (string, error) {
	sum, err := s.blind(ctx, "stream", []byte(code))
	if err != nil {
		return "", err
	}
	return "card:" + hex.EncodeToString(sum[:16]), nil
}

func (s sealer) blind(ctx context.Context, purpose string, data []byte) (sum [32]byte, err error) {
	key, err := s.derived(ctx, purpose)
	if err != nil {
		return sum, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	return [32]byte(mac.Sum(nil)), nil
}

func (s sealer) gcm(ctx context.Context) (cipher.AEAD, error) {
	key, err := s.derived(ctx, "seal")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal closes a secret; "" stays nil.
func (s sealer) seal(ctx context.Context, id, kind, secret string) ([]byte, error) {
	if secret == "" {
		return nil, nil
	}
	gcm, err := s.gcm(ctx)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, gcm.NonceSize())
	_, _ = rand.Read(nonce) // never fails, by its contract
	return gcm.Seal(nonce, nonce, []byte(secret), []byte(kind+"\x00"+id)), nil
}

// open is the inverse of seal.
func (s sealer) open(ctx context.Context, id, kind string, box []byte) (string, error) {
	if len(box) == 0 {
		return "", nil
	}
	gcm, err := s.gcm(ctx)
	if err != nil {
		return "", err
	}
	if len(box) < gcm.NonceSize() {
		return "", errUnsealable
	}
	plain, err := gcm.Open(nil, box[:gcm.NonceSize()], box[gcm.NonceSize():], []byte(kind+"\x00"+id))
	if err != nil {
		return "", errUnsealable
	}
	return string(plain), nil
}

// MaskCode hides all but the last four characters of a code; short codes altogether.
func MaskCode(code string) string {
	n := utf8.RuneCountInString(code)
	if n <= 8 {
		return strings.Repeat("*", n)
	}
	runes := []rune(code)
	return strings.Repeat("*", n-4) + string(runes[n-4:])
}
