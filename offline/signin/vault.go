package signin

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// Files in the data folder.
const (
	tokenFile  = "tokens.sealed"
	markerFile = "tokens.refreshing"
	keyFile    = "token.key"
)

// KeyProvider holds the key that seals the tokens.
type KeyProvider interface {
	// Key gives the 256-bit key, making it at first use. Safe for concurrent use.
	Key(ctx context.Context) ([32]byte, error)
	// Name is a word for the log.
	Name() string
	// Warning tells what the provider does not protect against; empty where there is nothing to say.
	Warning() string
}

// KeyFile keeps the key in a file of the data folder, readable by the service's user alone.
type KeyFile struct {
	disk *disk

	mu  sync.Mutex
	key *[32]byte
}

// NewKeyFile keeps the key in dir, which is made where missing.
func NewKeyFile(dir string) (*KeyFile, error) {
	d, err := openDisk(dir)
	if err != nil {
		return nil, err
	}
	return &KeyFile{disk: d}, nil
}

// Name implements KeyProvider.
func (k *KeyFile) Name() string { return "key file " + k.disk.path(keyFile) }

// Warning implements KeyProvider.
func (k *KeyFile) Warning() string {
	w := "the sign-in is sealed with a key file: that protects copies of the data taken without " + keyFile +
		", not against anyone who can read the whole data folder"
	if fi, err := os.Stat(k.disk.path(keyFile)); err == nil && runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 {
		w += "; others can read the key file now: set its mode to 0600"
	}
	return w
}

// Key implements KeyProvider.
func (k *KeyFile) Key(context.Context) ([32]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key != nil {
		return *k.key, nil
	}
	var key [32]byte
	text, err := k.disk.read(keyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, _ = rand.Read(key[:]) // never fails, by its contract
		if err := k.disk.write(keyFile, []byte(hex.EncodeToString(key[:])+"\n")); err != nil {
			return key, fmt.Errorf("write key file: %w", err)
		}
	case err != nil:
		return key, fmt.Errorf("read key file: %w", err)
	default:
		if len(text) != 65 {
			return key, fmt.Errorf("read key file: %s is not a key", keyFile)
		}
		if _, err := hex.Decode(key[:], text[:64]); err != nil {
			return key, fmt.Errorf("read key file: %s is not a key", keyFile)
		}
	}
	k.key = &key
	return key, nil
}

// tokenSet is one answer of the token endpoint. It is replaced as a whole, never changed.
type tokenSet struct {
	Generation   uint64        `json:"-"` // counts the rotations; in the file's head
	Refresh      string        `json:"refresh,omitempty"`
	Access       string        `json:"access"`
	AccessExpiry time.Time     `json:"accessExpiry"` // zero where the server named none
	Lifetime     time.Duration `json:"lifetime"`
	Scopes       []string      `json:"scopes,omitempty"`
	Account      string        `json:"account,omitempty"`
}

// marker says that a refresh of one token was begun. It stays when the answer is sealed: the token it names is then
// not the one in use, so it says nothing any more.
type marker struct {
	Generation uint64    `json:"generation"`
	OldToken   string    `json:"oldTokenSha256"`
	StartedAt  time.Time `json:"startedAt"`
}

// vault keeps the token set sealed. Its callers take turns (SignIn.fileMu).
type vault struct {
	disk    *disk
	keys    KeyProvider
	binding []string // issuer, client, store, register
}

var errUnsealable = errors.New("token file does not open with this key, issuer, client, store and register")

// sealMagic begins the file; then come the generation (8 bytes, big endian), the nonce (12) and AES-256-GCM's output.
const sealMagic = "SAT1"

// sealFile makes the content of the token file.
func sealFile(key [32]byte, binding []string, set *tokenSet) ([]byte, error) {
	plain, err := json.Marshal(set)
	if err != nil {
		return nil, err
	}
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint64([]byte(sealMagic), set.Generation)
	nonce := make([]byte, gcm.NonceSize())
	_, _ = rand.Read(nonce) // never fails, by its contract
	return gcm.Seal(append(head, nonce...), nonce, plain, sealAAD(binding, set.Generation)), nil
}

// openFile is the inverse of sealFile.
func openFile(key [32]byte, binding []string, data []byte) (*tokenSet, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	headLen := len(sealMagic) + 8
	if len(data) < headLen+gcm.NonceSize() || string(data[:len(sealMagic)]) != sealMagic {
		return nil, errUnsealable
	}
	generation := binary.BigEndian.Uint64(data[len(sealMagic):headLen])
	nonce, box := data[headLen:headLen+gcm.NonceSize()], data[headLen+gcm.NonceSize():]
	plain, err := gcm.Open(nil, nonce, box, sealAAD(binding, generation))
	if err != nil {
		return nil, errUnsealable
	}
	var set tokenSet
	if err := json.Unmarshal(plain, &set); err != nil || set.Access == "" && set.Refresh == "" {
		return nil, errUnsealable
	}
	set.Generation = generation
	return &set, nil
}

func newGCM(key [32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sealAAD joins the parts with their lengths in front, so that no two bindings look alike.
func sealAAD(binding []string, generation uint64) []byte {
	var aad []byte
	for _, part := range append(binding[:len(binding):len(binding)], strconv.FormatUint(generation, 10)) {
		aad = binary.BigEndian.AppendUint32(aad, uint32(len(part)))
		aad = append(aad, part...)
	}
	return aad
}

func (v *vault) seal(ctx context.Context, set *tokenSet) error {
	key, err := v.keys.Key(ctx)
	if err != nil {
		return err
	}
	data, err := sealFile(key, v.binding, set)
	if err != nil {
		return fmt.Errorf("seal tokens: %w", err)
	}
	if err := v.disk.write(tokenFile, data); err != nil {
		return fmt.Errorf("write sealed tokens: %w", err)
	}
	return nil
}

// open reads what was sealed last; nil where there is nothing. unsure tells that a refresh of that very token was
// begun and no answer was kept. A file that does not open is set aside and reported as an *Error.
func (v *vault) open(ctx context.Context) (set *tokenSet, unsure bool, err error) {
	data, err := v.disk.read(tokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	key, err := v.keys.Key(ctx)
	if err != nil {
		return nil, false, &Error{Code: "token_key", Err: err,
			Message: "the key of the stored sign-in cannot be read; restore " + v.keys.Name() + " and restart, or sign in again"}
	}
	set, err = openFile(key, v.binding, data)
	if err != nil {
		aside, aerr := v.disk.setAside(tokenFile, "unreadable-"+time.Now().UTC().Format("20060102T150405Z"))
		if aerr != nil {
			err = errors.Join(err, aerr)
		}
		return nil, false, &Error{Code: "token_file", Err: err, Message: "the stored sign-in does not open: the key, cloud.issuer, cloud.client_id, " +
			"store.code or store.register changed, or the file is damaged; it is kept as " + aside + ", sign in again"}
	}
	return set, v.marked(set), nil
}

// marked tells whether the marker is about this token.
func (v *vault) marked(set *tokenSet) bool {
	data, err := v.disk.read(markerFile)
	if err != nil {
		return false
	}
	var m marker
	if json.Unmarshal(data, &m) != nil || m.Generation != set.Generation {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(m.OldToken), []byte(hashOf(set.Refresh))) == 1
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// mark writes durably that a refresh of this token begins.
func (v *vault) mark(set *tokenSet) error {
	data, err := json.Marshal(marker{Generation: set.Generation, OldToken: hashOf(set.Refresh), StartedAt: time.Now().UTC()})
	if err != nil {
		return err
	}
	if err := v.disk.write(markerFile, data); err != nil {
		return fmt.Errorf("write refresh marker: %w", err)
	}
	return nil
}

// discard deletes the tokens.
func (v *vault) discard() error {
	if err := v.disk.remove(tokenFile, markerFile, tokenFile+".tmp"); err != nil {
		return fmt.Errorf("delete sealed tokens: %w", err)
	}
	return nil
}
