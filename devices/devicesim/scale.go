package devicesim

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// ScaleOptions are the make of a simulated scale.
type ScaleOptions struct {
	Toledo bool   // speaks Mettler Toledo 8213; else NCI
	Unit   string // KG, LB, OZ or G, as NCI says it; "" is KG
}

// Scale is a simulated counter scale. It outlives its connections. All methods are safe for concurrent use.
type Scale struct {
	o ScaleOptions

	mu     sync.Mutex
	weight string
	motion bool
	over   bool
	under  bool
	deaf   bool
	asked  int

	hidStatus byte
	onChange  bool
}

// NewScale makes an empty scale at rest.
func NewScale(o ScaleOptions) *Scale {
	if o.Unit == "" {
		o.Unit = "KG"
	}
	return &Scale{o: o, weight: "00.000"}
}

// Put lays a weight on the scale, as its display shows it, like "01.250".
func (s *Scale) Put(weight string) {
	s.set(func() { s.weight, s.over, s.under = weight, false, false })
}

// SetMotion lets the scale swing, or rest.
func (s *Scale) SetMotion(on bool) { s.set(func() { s.motion = on }) }

// SetOverload lays too much on it, or takes it off.
func (s *Scale) SetOverload(on bool) { s.set(func() { s.over = on }) }

// SetBelowZero lifts the plate, or lets it go.
func (s *Scale) SetBelowZero(on bool) { s.set(func() { s.under = on }) }

// SetDeaf makes it answer nothing.
func (s *Scale) SetDeaf(on bool) { s.set(func() { s.deaf = on }) }

// Asked counts the questions so far.
func (s *Scale) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *Scale) set(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
}

// Serve answers on rw until that fails or ctx ends.
func (s *Scale) Serve(ctx context.Context, rw io.ReadWriteCloser) error {
	defer context.AfterFunc(ctx, func() { _ = rw.Close() })()
	buf := make([]byte, 64)
	for {
		n, err := rw.Read(buf)
		for _, c := range buf[:n] {
			if c != 'W' {
				continue
			}
			if answer := s.answer(); answer != "" {
				if _, err := io.WriteString(rw, answer); err != nil {
					return err
				}
			}
		}
		if err != nil {
			return err
		}
	}
}

func (s *Scale) answer() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.deaf {
		return ""
	}
	bit := func(on bool, v byte) byte {
		if on {
			return v
		}
		return 0
	}
	if s.o.Toledo {
		if status := 0x60 | bit(s.motion, 1) | bit(s.over, 2) | bit(s.under, 4); status != 0x60 {
			return fmt.Sprintf("\x02?%c\r", status)
		}
		return "\x02" + s.weight + "\r"
	}
	status := fmt.Sprintf("\nS%c%c\r\x03", '0'|bit(s.motion, 1), '0'|bit(s.under, 1)|bit(s.over, 2))
	if s.motion || s.over || s.under {
		return status
	}
	return "\n" + s.weight + s.o.Unit + "\r" + status
}
