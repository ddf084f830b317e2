package scanner

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// frames feeds data in pieces of the given sizes, repeating the last, and returns what came out; "!" is a lost code.
func frames(t testing.TB, o Options, data []byte, sizes ...int) (codes []string, partial int) {
	t.Helper()
	f, err := newFramer(o)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; len(data) > 0; n++ {
		size := min(len(data), max(1, sizes[min(n, len(sizes)-1)]))
		f.feed(data[:size], func(code []byte, err error) {
			if err != nil {
				code = []byte("!")
			}
			codes = append(codes, string(code))
		})
		data = data[size:]
	}
	return codes, f.partial()
}

func TestFramer(t *testing.T) {
	long := strings.Repeat("9", maxCode)
	for name, c := range map[string]struct {
		o       Options
		in      string
		want    []string
		partial int
	}{
		"CR":                {Options{}, "a\rb\r", []string{"a", "b"}, 0},
		"LF":                {Options{}, "a\nb\n", []string{"a", "b"}, 0},
		"CRLF":              {Options{}, "a\r\nb\r\n", []string{"a", "b"}, 0},
		"TAB":               {Options{}, "a\tb\t", []string{"a", "b"}, 0},
		"partial":           {Options{}, "a\rbc", []string{"a"}, 2},
		"empties":           {Options{}, "\r\n\r\n\n", nil, 0},
		"binary":            {Options{}, "\xff\x00\x1d\xfe\r", []string{"\xff\x00\x1d\xfe"}, 0},
		"escaped suffix":    {Options{Suffix: `\r\n`}, "a\rb\r\n", []string{"a\rb"}, 0},
		"real suffix":       {Options{Suffix: "\r\n"}, "a\rb\r\n", []string{"a\rb"}, 0},
		"STX and ETX":       {Options{Prefix: `\x02`, Suffix: `\x03`}, "\x02a\r\n\x03\x02b\x03", []string{"a\r\n", "b"}, 0},
		"prefix missing":    {Options{Prefix: `\x02`}, "a\r\x02b\r", []string{"a", "b"}, 0},
		"prefix alone":      {Options{Prefix: `\x02`}, "\x02\r", nil, 0},
		"overlapping":       {Options{Suffix: "aab"}, "xaaab", []string{"xa"}, 0},
		"gap ends nothing":  {Options{GapMS: 50}, "a\rb", nil, 3},
		"longest":           {Options{}, long + "\r", []string{long}, 0},
		"longest, CRLF":     {Options{Suffix: `\r\n`}, long + "\r\n", []string{long}, 0},
		"too long":          {Options{}, long + "9\rnext\r", []string{"!", "next"}, 0},
		"too long, CRLF":    {Options{Suffix: `\r\n`}, long + "9\r\nnext\r\n", []string{"!", "next"}, 0},
		"much too long":     {Options{Suffix: `\r\n`}, long + long + long + "\r\nnext\r\n", []string{"!", "next"}, 0},
		"never ending":      {Options{}, long + "99", []string{"!"}, maxCode + 2},
		"lone CR in suffix": {Options{Suffix: `\r\n`}, long + "\r\r\r\nnext\r\n", []string{"!", "next"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 1 << 20} {
				if got, partial := frames(t, c.o, []byte(c.in), size); !slices.Equal(got, c.want) || partial != c.partial {
					t.Errorf("pieces of %d: %d codes %.80q, %d left; want %d codes %.80q, %d left", size, len(got), got, partial, len(c.want), c.want, c.partial)
				}
			}
		})
	}
}

func TestFramerFlush(t *testing.T) {
	f, err := newFramer(Options{GapMS: 50, Prefix: `\x02`})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	done := func(code []byte, err error) {
		if err != nil && !errors.Is(err, errTooLong) {
			t.Error(err)
		}
		got = append(got, string(code))
	}
	f.flush(done)
	f.feed([]byte("\x02a\rb\r\n"), done)
	f.flush(done)
	f.feed(bytes.Repeat([]byte("9"), maxCode+9), done)
	f.flush(done)
	f.feed([]byte("c"), done)
	f.reset()
	f.flush(done)
	f.feed([]byte("d"), done)
	f.flush(done)
	if want := []string{"a\rb", "", "d"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOptions(t *testing.T) {
	for text, o := range map[string]Options{
		"prefix": {Prefix: `\q`},
		"suffix": {Suffix: `\`},
		"gap_ms": {GapMS: -1},
		"both":   {GapMS: 50, Suffix: `\r`},
	} {
		if _, err := New(Config{Name: "s", Options: o}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// However the bytes are split, the same codes come out.
func FuzzFramer(f *testing.F) {
	f.Add([]byte("a\r\nb\tc"), "", "", uint64(1))
	f.Add([]byte("\x02a\x03\x02b\x03"), `\x02`, `\x03`, uint64(2))
	f.Add(append(bytes.Repeat([]byte("9"), maxCode+1), "\r\n1\r\n"...), "", `\r\n`, uint64(3))
	f.Fuzz(func(t *testing.T, data []byte, prefix, suffix string, seed uint64) {
		o := Options{Prefix: prefix, Suffix: suffix}
		if _, err := newFramer(o); err != nil {
			return
		}
		whole, left := frames(t, o, data, len(data))
		r := rand.New(rand.NewPCG(seed, 0))
		sizes := make([]int, 64)
		for n := range sizes {
			sizes[n] = 1 + r.IntN(40)
		}
		split, leftSplit := frames(t, o, data, sizes...)
		if !slices.Equal(whole, split) || left != leftSplit {
			t.Fatalf("whole %q (%d left), split %q (%d left)", whole, left, split, leftSplit)
		}
	})
}
