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

// levels gives the embedding level of each character. The library tells the level of a run at its start and joins runs
// that only differ by two levels; the one case of that in text without explicit embeddings is a number behind letters
// from the right, which belongs to them (level 2), with text from the left behind it (level 0).
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
		if d == LeftToRight && run.Level == 2 {
			for j := run.Start + number(text[run.Start:run.End]); j < run.End; j++ {
				out[j] = 0
			}
		}
	}
	return out
}

// number is the length of the number that text starts with, with the signs that belong to it (UAX #9, W4 and W5).
func number(text []rune) int {
	end, european := 0, false
	for i, r := range text {
		switch class(r) {
		case xbidi.EN:
			end, european = i+1, true
		case xbidi.AN:
			end, european = i+1, false
		case xbidi.ET:
			if european && end == i {
				end = i + 1
			}
		case xbidi.NSM, xbidi.BN:
			if end == i {
				end = i + 1
			}
		case xbidi.ES, xbidi.CS:
			if end != i {
				return end
			}
		default:
			return end
		}
	}
	return end
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
