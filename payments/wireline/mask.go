package wireline

import "strings"

// Card numbers have 13 to 19 digits (ISO/IEC 7812) and a check digit by Luhn.
const (
	panMin = 13
	panMax = 19
)

// MaskCards replaces all but the last four digits of whatever looks like a card number: 13 to 19 digits with a right
// Luhn digit, written in one piece or in groups parted by one blank, dash or dot. Groups are tried in all
// combinations, so that a number printed beside another is found too.
func MaskCards(s string) string {
	b := []byte(s)
	for i := 0; i < len(b); {
		if !isDigit(b[i]) {
			i++
			continue
		}
		run := digitRun(b, i)
		maskRun(b, run)
		i = run[len(run)-1] + 1
	}
	return string(b)
}

// Text is MaskCards of what can be shown: other than printable ASCII becomes a question mark, blanks around it go.
func Text(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return strings.TrimSpace(MaskCards(s))
}

// digitRun gives the positions of the digits that begin at i and go on over single separators.
func digitRun(b []byte, i int) []int {
	var run []int
	for i < len(b) {
		switch {
		case isDigit(b[i]):
			run = append(run, i)
			i++
		case (b[i] == ' ' || b[i] == '-' || b[i] == '.') && i+1 < len(b) && isDigit(b[i+1]):
			i++
		default:
			return run
		}
	}
	return run
}

// maskRun masks each window of 13 to 19 digits that passes Luhn and starts and ends with a group; inside a group
// longer than any card number every window counts.
func maskRun(b []byte, run []int) {
	hide := make([]bool, len(run))
	edge := func(n int) bool { return n == 0 || n == len(run) || run[n] != run[n-1]+1 }
	start, end := 0, 0 // the unbroken group around from
	for from := range run {
		if from == end {
			for start, end = from, from+1; !edge(end); end++ {
			}
		}
		long := end-start > panMax
		if !long && !edge(from) {
			continue
		}
		for n := panMin; n <= panMax && from+n <= len(run); n++ {
			if (long || edge(from+n)) && luhn(b, run[from:from+n]) {
				for k := from; k < from+n-4; k++ {
					hide[k] = true
				}
			}
		}
	}
	for k, h := range hide {
		if h {
			b[run[k]] = '*'
		}
	}
}

func luhn(b []byte, at []int) bool {
	sum := 0
	for i := range at {
		d := int(b[at[len(at)-1-i]] - '0')
		if i%2 == 1 {
			d *= 2
			if d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0 && sum > 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
