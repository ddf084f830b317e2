package typeset

import (
	"slices"

	"github.com/go-text/typesetting/bidi"
	xbidi "golang.org/x/text/unicode/bidi"
)

// direction is that of a paragraph: of its first letter that has one, what stands in isolates apart (UAX #9, P2, P3).
func direction(text []rune, d Direction) Direction {
	if d != Auto {
		return d
	}
	depth := 0
	for _, r := range text {
		switch class(r) {
		case xbidi.LRI, xbidi.RLI, xbidi.FSI:
			depth++
		case xbidi.PDI:
			depth = max(depth-1, 0)
		case xbidi.L:
			if depth == 0 {
				return LeftToRight
			}
		case xbidi.R, xbidi.AL:
			if depth == 0 {
				return RightToLeft
			}
		}
	}
	return LeftToRight
}

// DirectionOf is the direction of a paragraph, LeftToRight where it has no letter.
func DirectionOf(text string) Direction { return direction([]rune(text), Auto) }

func class(r rune) xbidi.Class {
	p, _ := xbidi.LookupRune(r)
	return p.Class()
}

// levels gives the embedding level of each character. The library tells only the level at the start of a run and joins
// runs that differ by two levels: of a paragraph from the left, in text without explicit embeddings, those are numbers
// (level 2) and what is not turned (level 0).
func (t *Typesetter) levels(text []rune, d Direction) []bidi.Level {
	base := bidi.LeftToRight
	if d == RightToLeft {
		base = bidi.RightToLeft
	}
	runs := t.bidi.Segment(text, base)
	out := make([]bidi.Level, len(text))
	for i := range runs.NumRuns() {
		run := runs.Run(i)
		for j := run.Start; j < run.End; j++ {
			out[j] = run.Level
		}
	}
	if d == LeftToRight && !slices.ContainsFunc(text, explicit) {
		for i, n := range numbers(text) {
			if out[i] == 0 && n {
				out[i] = 2
			} else if out[i] == 2 && !n {
				out[i] = 0
			}
		}
	}
	return out
}

// explicit reports whether a character opens an embedding or an isolate.
func explicit(r rune) bool { return r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 }

// numbers marks the numbers that count as such in a paragraph from the left: those behind letters from the right, and
// those in Arabic digits, with the signs that belong to them (UAX #9, W1 to W5 and W7).
func numbers(text []rune) []bool {
	kinds := make([]xbidi.Class, len(text))
	strong := xbidi.L
	for i, r := range text {
		k := class(r)
		switch k {
		case xbidi.L, xbidi.R, xbidi.AL:
			strong = k
		case xbidi.NSM:
			if i > 0 {
				k = kinds[i-1]
			}
		case xbidi.EN:
			switch strong {
			case xbidi.AL:
				k = xbidi.AN
			case xbidi.L:
				k = xbidi.L
			}
		}
		kinds[i] = k
	}
	for i := 1; i+1 < len(kinds); i++ {
		k, before := kinds[i], kinds[i-1]
		if before == kinds[i+1] && (k == xbidi.CS && (before == xbidi.EN || before == xbidi.AN) || k == xbidi.ES && before == xbidi.EN) {
			kinds[i] = before
		}
	}
	for i, end := 0, 0; i < len(kinds); i = max(i+1, end) {
		for end = i; end < len(kinds) && kinds[end] == xbidi.ET; end++ {
		}
		if i > 0 && kinds[i-1] == xbidi.EN || end < len(kinds) && kinds[end] == xbidi.EN {
			for j := i; j < end; j++ {
				kinds[j] = xbidi.EN
			}
		}
	}
	out := make([]bool, len(text))
	for i, k := range kinds {
		out[i] = k == xbidi.EN || k == xbidi.AN
	}
	return out
}

// reorder puts pieces into the order in which they stand on the paper, from the left (UAX #9, L2).
func reorder[T any](pieces []T, level func(T) bidi.Level) {
	highest, lowestOdd := bidi.Level(0), bidi.Level(127)
	for _, p := range pieces {
		l := level(p)
		highest = max(highest, l)
		if l%2 == 1 {
			lowestOdd = min(lowestOdd, l)
		}
	}
	for l := highest; l >= lowestOdd; l-- {
		for i := 0; i < len(pieces); i++ {
			j := i
			for j < len(pieces) && level(pieces[j]) >= l {
				j++
			}
			slices.Reverse(pieces[i:j])
			i = max(i, j-1)
		}
	}
}
