package devicesim

import (
	"context"
	"io"
	"strings"
	"sync"

	"golang.org/x/text/encoding/charmap"
)

// Display is a simulated customer display of two lines of twenty characters. It reads the bytes of its cable with its
// own decoder, in ESC/POS or CD5220. It forgets its text when it is unplugged. All methods are safe for concurrent use.
type Display struct {
	cd5220 bool

	mu      sync.Mutex
	cells   [2][20]byte
	x, y    int
	garbage int
}

// NewDisplay makes a blank display.
func NewDisplay(cd5220 bool) *Display {
	d := &Display{cd5220: cd5220}
	d.clear()
	return d
}

func (d *Display) clear() {
	for y := range d.cells {
		for x := range d.cells[y] {
			d.cells[y][x] = ' '
		}
	}
	d.x, d.y = 0, 0
}

// Lines is what it shows.
func (d *Display) Lines() [2]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out [2]string
	for y := range d.cells {
		text, _ := charmap.CodePage858.NewDecoder().Bytes(d.cells[y][:]) // every byte is a character there
		out[y] = strings.TrimRight(string(text), " ")
	}
	return out
}

// Garbage counts the bytes it did not understand.
func (d *Display) Garbage() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.garbage
}

// Serve shows what comes on rw until that fails or ctx ends.
func (d *Display) Serve(ctx context.Context, rw io.ReadWriteCloser) error {
	defer context.AfterFunc(ctx, func() { _ = rw.Close() })()
	d.mu.Lock()
	d.clear()
	d.mu.Unlock()
	var held []byte
	buf := make([]byte, 256)
	for {
		n, err := rw.Read(buf)
		d.mu.Lock()
		for _, c := range buf[:n] {
			held = d.take(append(held, c))
		}
		d.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// take obeys the bytes since the last finished command; it returns what is the beginning of one.
func (d *Display) take(b []byte) []byte {
	switch {
	case b[0] == 0x1b && len(b) < 2, b[0] == 0x1f && len(b) < 2:
		return b
	case b[0] == 0x1b && b[1] == '@':
		d.clear()
	case b[0] == 0x1b && b[1] == 't' && !d.cd5220:
		if len(b) < 3 {
			return b
		}
		if b[2] != 19 {
			d.garbage++
		}
	case b[0] == 0x1b && b[1] == 'Q' && d.cd5220:
		if len(b) < 24 { // ESC Q row, twenty characters, CR
			return b
		}
		if (b[2] != 'A' && b[2] != 'B') || b[23] != '\r' {
			d.garbage++
			break
		}
		copy(d.cells[b[2]-'A'][:], b[3:23])
	case b[0] == 0x1f && b[1] == '$' && !d.cd5220:
		if len(b) < 4 {
			return b
		}
		if b[2] < 1 || b[2] > 20 || b[3] < 1 || b[3] > 2 {
			d.garbage++
			break
		}
		d.x, d.y = int(b[2])-1, int(b[3])-1
	case b[0] == 0x0c:
		d.clear()
	case b[0] >= ' ':
		d.cells[d.y][d.x] = b[0]
		if d.x++; d.x == 20 {
			d.x, d.y = 0, (d.y+1)%2
		}
	default:
		d.garbage++
	}
	return nil
}
