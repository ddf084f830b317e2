package sqlite

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
)

// The high-water mark is a small file of its own that is flushed with every commit. A -wal file that lost its tail
// looks to SQLite like a sound, older database; this file knows better.
//
// It is a row of 64-byte slots, all of them allocated as zeros beforehand, so that an append neither moves the end of
// the file nor needs space. Slot 0 is the head. All numbers are little endian.
//
//	0     kind: 'H' head, 'C' commit, 'S' sale, 'A' attempt, 'P' payment
//	1     1 where id is a UUID, 0 where it is the start of the id's SHA-256
//	4:8   attempt number
//	8:16  number of the commit
//	16:24 seq of the sale or operation
//	24:40 id; in the head: the epoch
//	40:52 start of the content's SHA-256
//	52:60 newest event id of that commit
//	60:64 CRC-32C of the 60 bytes before
const (
	slotSize  = 64
	slots     = 32768 // 2 MiB
	slotsKept = 8192  // newest records that survive a rewrite
)

const (
	kindHead    = 'H'
	kindCommit  = 'C'
	kindSale    = 'S'
	kindAttempt = 'A'
	kindPayment = 'P'
)

var errHighwater = errors.New("high-water mark cannot be written")

// record is one slot.
type record struct {
	kind   byte
	isUUID bool
	n      uint32
	commit int64
	seq    int64
	id     [16]byte
	hash   [12]byte
	event  int64
}

func newRecord(kind byte, seq int64, id string, content []byte) record {
	r := record{kind: kind, seq: seq}
	r.id, r.isUUID = slotID(id)
	copy(r.hash[:], content)
	return r
}

// slotID fits an id into a slot.
func slotID(id string) (b [16]byte, isUUID bool) {
	if u, err := uuid.Parse(id); err == nil && u.String() == id {
		return u, true
	}
	sum := sha256.Sum256([]byte(id))
	copy(b[:], sum[:])
	return b, false
}

func (r record) encode() [slotSize]byte {
	var b [slotSize]byte
	b[0] = r.kind
	if r.isUUID {
		b[1] = 1
	}
	le := binary.LittleEndian
	le.PutUint32(b[4:], r.n)
	le.PutUint64(b[8:], uint64(r.commit))
	le.PutUint64(b[16:], uint64(r.seq))
	copy(b[24:40], r.id[:])
	copy(b[40:52], r.hash[:])
	le.PutUint64(b[52:], uint64(r.event))
	le.PutUint32(b[60:], checksum(b[:60]))
	return b
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func decodeRecord(b []byte) (record, bool) {
	le := binary.LittleEndian
	if len(b) < slotSize || b[0] == 0 || le.Uint32(b[60:]) != checksum(b[:60]) {
		return record{}, false
	}
	r := record{
		kind: b[0], isUUID: b[1] == 1, n: le.Uint32(b[4:]),
		commit: int64(le.Uint64(b[8:])), seq: int64(le.Uint64(b[16:])), event: int64(le.Uint64(b[52:])),
	}
	copy(r.id[:], b[24:40])
	copy(r.hash[:], b[40:52])
	return r, true
}

// mark is what the file said at the start.
type mark struct {
	exists  bool
	headOK  bool
	holes   bool // unreadable records that are not the torn end
	epoch   uuid.UUID
	records []record
	next    int // first slot behind the last readable record
	torn    int // slots behind it that hold part of a record
}

// lastCommit is the newest commit the file knows of, 0 for none.
func (m mark) lastCommit() int64 { return m.highest(func(r record) int64 { return r.commit }) }

// lastEvent is the newest event id the file knows of.
func (m mark) lastEvent() int64 { return m.highest(func(r record) int64 { return r.event }) }

// lastSale is the newest sale the file knows of.
func (m mark) lastSale() int64 {
	return m.highest(func(r record) int64 {
		if r.kind != kindSale {
			return 0
		}
		return r.seq
	})
}

func (m mark) highest(of func(record) int64) int64 {
	var top int64
	for _, r := range m.records {
		top = max(top, of(r))
	}
	return top
}

// readHighwater reads the file as far as it can be read. A torn end is what a crash leaves and is no fault.
func readHighwater(path string) (mark, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return mark{next: 1}, nil
	}
	if err != nil {
		return mark{}, fmt.Errorf("read high-water mark: %w", err)
	}
	return parseHighwater(data), nil
}

func parseHighwater(data []byte) mark {
	m := mark{exists: true, next: 1}
	if head, ok := decodeRecord(data); ok && head.kind == kindHead {
		m.headOK, m.epoch = true, head.id
	}
	var zero [slotSize]byte
	bad := 0
	for slot := 1; (slot+1)*slotSize <= len(data) && slot < slots; slot++ {
		b := data[slot*slotSize : (slot+1)*slotSize]
		r, ok := decodeRecord(b)
		switch {
		case ok:
			m.holes = m.holes || bad > 0
			m.records = append(m.records, r)
			m.next, m.torn, bad = slot+1, 0, 0
		case !bytes.Equal(b, zero[:]):
			bad++
			m.torn = slot + 1 - m.next
		}
	}
	return m
}

// slotFile is what the high-water mark needs of a file.
type slotFile interface {
	io.ReaderAt
	io.WriterAt
	Sync() error // the bytes, not the times
	Close() error
}

type dataFile struct{ *os.File }

func (f dataFile) Sync() error { return syncData(f.File) }

// highwater is the open file. Only the writer uses it.
type highwater struct {
	path    string
	epoch   uuid.UUID
	f       slotFile
	next    int
	pending []record // not on disk yet
}

// openHighwater goes on with the file that m was read from, or makes a new one where at says so.
func openHighwater(path string, at start, m mark) (*highwater, error) {
	h := &highwater{path: path, epoch: at.epoch, next: m.next}
	if at.renew || !m.exists {
		if err := h.rewrite([]record{{kind: kindCommit, commit: at.commits, event: at.event}}); err != nil {
			return nil, err
		}
		return h, nil
	}
	if m.holes || m.next > slots/2 {
		return h, h.rewrite(newest(m.records))
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open high-water mark: %w", err)
	}
	h.f = dataFile{f}
	fi, err := f.Stat()
	if err == nil && (m.torn > 0 || fi.Size() < slots*slotSize) {
		_, err = f.WriteAt(make([]byte, (slots-m.next)*slotSize), int64(m.next)*slotSize)
		err = errors.Join(err, f.Sync())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open high-water mark: %w", err), f.Close())
	}
	return h, nil
}

func newest(records []record) []record { return records[max(0, len(records)-slotsKept):] }

// append makes the records durable. What it could not write it tries again with the next call.
func (h *highwater) append(records []record) error {
	h.pending = newest(append(h.pending, records...))
	if len(h.pending) == 0 {
		return nil
	}
	if h.f == nil || h.next+len(h.pending) > slots {
		return h.rotate()
	}
	b := encodeAll(h.pending)
	if _, err := h.f.WriteAt(b, int64(h.next)*slotSize); err != nil {
		return fmt.Errorf("%w: %w", errHighwater, err)
	}
	if err := h.f.Sync(); err != nil {
		return fmt.Errorf("%w: %w", errHighwater, err)
	}
	h.next += len(h.pending)
	h.pending = h.pending[:0]
	return nil
}

func encodeAll(records []record) []byte {
	b := make([]byte, 0, len(records)*slotSize)
	for _, r := range records {
		slot := r.encode()
		b = append(b, slot[:]...)
	}
	return b
}

// rotate makes the file anew with the newest records and the pending ones.
func (h *highwater) rotate() error {
	old, err := readHighwater(h.path)
	if err != nil {
		return fmt.Errorf("%w: %w", errHighwater, err)
	}
	if err := h.rewrite(newest(append(old.records, h.pending...))); err != nil {
		return fmt.Errorf("%w: %w", errHighwater, err)
	}
	h.pending = h.pending[:0]
	return nil
}

// rewrite puts a whole new file in place of the old one.
func (h *highwater) rewrite(records []record) error {
	all := append([]record{{kind: kindHead, isUUID: true, id: h.epoch}}, records...)
	temp := h.path + ".new"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("rewrite high-water mark: %w", err)
	}
	b := make([]byte, slots*slotSize)
	copy(b, encodeAll(all))
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil { // a full disk needs what was written of it
		return fmt.Errorf("rewrite high-water mark: %w", errors.Join(err, os.Remove(temp)))
	}
	if h.f != nil { // Windows does not rename over an open file
		err = h.f.Close()
		h.f = nil
	}
	if err = errors.Join(err, os.Rename(temp, h.path), syncDir(filepath.Dir(h.path))); err != nil {
		return fmt.Errorf("rewrite high-water mark: %w", err)
	}
	if f, err = os.OpenFile(h.path, os.O_RDWR, 0); err != nil {
		return fmt.Errorf("rewrite high-water mark: %w", err)
	}
	h.f, h.next = dataFile{f}, len(all)
	return nil
}

func (h *highwater) close() error {
	if h.f == nil {
		return nil
	}
	return h.f.Close()
}
