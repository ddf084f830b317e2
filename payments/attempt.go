package payments

import (
	"crypto/rand"
	"time"
)

// refDigits are the letters of a Ref: Crockford's base 32, which leaves out what people misread.
const refDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewRef makes a reference for one attempt: 32 bits of seconds and 18 bits of chance, so that two attempts of one
// terminal share one only if they begin in the same second (or the clock was set back to it) and then once in a
// quarter of a million times.
func NewRef(now time.Time) string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	n := uint64(uint32(now.Unix()))<<18 | uint64(b[0]&3)<<16 | uint64(b[1])<<8 | uint64(b[2])
	var out [10]byte
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = refDigits[n&31]
		n >>= 5
	}
	return string(out[:])
}

// Attempt gives the payment's own money movement as its terminal sees it.
func (p Payment) Attempt() Attempt {
	txn := Txn{PaymentID: p.ID, Kind: Kind(p.Type), Ref: p.Ref, Amount: p.Amount, Original: p.Original}
	if p.TipAtStart != nil {
		txn.Amount, txn.Tip = plus(p.Amount, *p.TipAtStart), *p.TipAtStart
	}
	return Attempt{
		Txn:       txn,
		StartedAt: p.CreatedAt, Baseline: p.Baseline, Told: p.Told,
	}
}
