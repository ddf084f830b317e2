// Package redact takes out of a text what must not leave the store with it: card numbers and tracks, gift card codes,
// PINs, passwords, passphrases, tokens and keys.
//
// It is called by installer for everything that goes into a support bundle. It imports internal/carddata and nothing
// else of this module. It knows secrets in three ways: by their very text where somebody names it, by the name that
// stands before a value, and by their shape (JSON Web Tokens of RFC 7519, bearer tokens of RFC 6750, private keys of
// RFC 7468, card numbers of ISO/IEC 7812). It rather takes out too much than too little.
package redact

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"storeagent/internal/carddata"
)

// Removed stands where something was taken out.
const Removed = "[removed]"

// shortest is the length of the shortest secret that is looked for by its text: shorter ones stand in every text.
const shortest = 4

// Redactor takes secrets out of texts. It is safe for concurrent use.
type Redactor struct {
	secrets  []string // spellings of the known secrets, longest first
	prefixes []string
}

// New makes a redactor that knows the given secrets by their text, in all spellings that JSON, addresses and Base64
// give them, and gift card codes by the digits that they begin with.
func New(secrets, giftcardPrefixes []string) *Redactor {
	r := &Redactor{}
	for _, p := range giftcardPrefixes {
		if p != "" {
			r.prefixes = append(r.prefixes, p)
		}
	}
	for _, s := range secrets {
		if len(s) < shortest {
			continue
		}
		quoted, err := json.Marshal(s)
		if err == nil {
			r.secrets = append(r.secrets, string(quoted[1:len(quoted)-1]))
		}
		r.secrets = append(r.secrets, s, url.QueryEscape(s), url.PathEscape(s), base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)))
	}
	slices.SortFunc(r.secrets, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	r.secrets = slices.Compact(r.secrets)
	return r
}

// Text gives the text without secrets.
func (r *Redactor) Text(s string) string {
	if strings.Contains(s, "PRIVATE KEY") {
		s = privateKey.ReplaceAllString(s, Removed)
	}
	for _, secret := range r.secrets {
		s = replaceWhole(s, secret)
	}
	var out, part strings.Builder
	for line := range strings.Lines(s) {
		part.WriteString(line)
		if end := strings.TrimRight(line, " \t\r\n"); strings.HasSuffix(end, ":") || strings.HasSuffix(end, "=") {
			continue // the value stands in the next line
		}
		out.WriteString(r.part(part.String()))
		part.Reset()
	}
	out.WriteString(r.part(part.String()))
	return cards(out.String())
}

// part is Text for a line, or for lines that belong together. A rule is tried only where one of its words stands: logs
// are long and most of their lines are harmless.
func (r *Redactor) part(s string) string {
	lower := strings.ToLower(s)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(lower, w) })
	}
	if has("sa_") {
		s = ownToken.ReplaceAllString(s, Removed)
	}
	if has("eyj") {
		s = webToken.ReplaceAllString(s, Removed)
	}
	if has("bearer", "basic", "dpop") {
		s = scheme.ReplaceAllStringFunc(s, credentials)
	}
	if has("@") {
		s = userInfo.ReplaceAllString(s, "${1}"+Removed+"@")
	}
	if has("pass", "pwd", "secret", "token", "key", "cvv", "cvc", "track", "authorization", "cookie", "code") {
		s = passphrase.ReplaceAllString(s, "${1}"+Removed)
		s = named.ReplaceAllStringFunc(s, func(m string) string { return value(named, m) })
		s = namedCode.ReplaceAllStringFunc(s, code)
	}
	if has("pin") {
		s = namedPIN.ReplaceAllStringFunc(s, func(m string) string { return value(namedPIN, m) })
		s = spokenPIN.ReplaceAllString(s, "${1}"+Removed)
	}
	if len(r.prefixes) > 0 {
		s = digitRun.ReplaceAllStringFunc(s, r.giftcard)
	}
	return longRuns(s)
}

// What a value looks like after its name: in quotes, in quotes of a text in quotes, or up to the next space or mark.
const valueShape = `(\\"[^"\\]*\\"|"(?:[^"\\]|\\.)*"|'[^'\n]*'|[^\s,;(){}\[\]&"'\\]+)`

var (
	privateKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`)
	ownToken   = regexp.MustCompile(`\bsa_[A-Za-z0-9_-]{16,}`)
	webToken   = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,4}`)
	scheme     = regexp.MustCompile(`(?i)\b(?:bearer|basic|dpop)\s+[A-Za-z0-9._~+/=-]{6,}`)
	userInfo   = regexp.MustCompile(`(\b[a-z][a-z0-9+.-]*://)[^\s/@"'<>\[]+@`)
	passphrase = regexp.MustCompile(`(?i)(\bpassphrase\s*[:=]\s*)[^\s"'\\\[,;}][^",;}\\\n]*`)
	named      = regexp.MustCompile(`(?i)(\b[\w.-]*(?:password|passwd|pwd|passphrase|secret|token|api_?key|private_?key|cvv2?|cvc2?|track[123]|authorization|cookie|device_?code|code_?verifier|user_?code|auth_?code)\\?["']?\s*(?:[:=]|\bis\b)\s*)` + valueShape)
	namedPIN   = regexp.MustCompile(`((?:\b|[a-z0-9]_)(?:pin|PIN|Pin|pins|[a-z]\w*Pin|PIN code|pin code)\\?["']?\s*(?:[:=]|\bis\b)\s*)` + valueShape)
	spokenPIN  = regexp.MustCompile(`(?i)(\bpin(?:\s+code)?\s+)\d{3,12}\b`)
	namedCode  = regexp.MustCompile(`(\b(?:code|physicalCode|giftcardCode|cardCode)\\?["']?\s*[:=]\s*\\?["']?)([0-9A-Za-z][0-9A-Za-z-]{5,})`)
	digitRun   = regexp.MustCompile(`\d(?:[ -]?\d){7,}`)
)

// replaceWhole takes a secret out where it stands by itself, not as a part of a longer word or number.
func replaceWhole(s, secret string) string {
	var b strings.Builder
	kept := 0
	for from := 0; ; {
		at := strings.Index(s[from:], secret)
		if at < 0 {
			break
		}
		at += from
		end := at + len(secret)
		if joins(s, at, secret[0]) || end < len(s) && wordByte(s[end]) && wordByte(secret[len(secret)-1]) {
			from = at + 1
			continue
		}
		b.WriteString(s[kept:at])
		b.WriteString(Removed)
		kept, from = end, end
	}
	if kept == 0 {
		return s
	}
	b.WriteString(s[kept:])
	return b.String()
}

// joins reports whether the byte before at makes one word with what begins there.
func joins(s string, at int, first byte) bool {
	if at == 0 || !wordByte(first) || !wordByte(s[at-1]) {
		return false
	}
	return at < 2 || s[at-2] != '\\' // the n of \n in a text in quotes is no letter
}

func wordByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// credentials takes out what follows the name of an authentication scheme. "Basic" begins ordinary sentences too.
func credentials(m string) string {
	word, rest, _ := strings.Cut(m, " ")
	if strings.EqualFold(word, "basic") && !strings.ContainsAny(rest, "0123456789=") {
		return m
	}
	return word + " " + Removed
}

// value takes out what stands after a name, but for references to secrets and for words that are none.
func value(re *regexp.Regexp, m string) string {
	part := re.FindStringSubmatch(m)
	name, v := part[1], part[2]
	inner := strings.Trim(v, `\"'`)
	switch {
	case strings.HasPrefix(inner, "file:"), strings.HasPrefix(inner, "env:"), strings.HasPrefix(inner, Removed):
		return m
	case inner == "", inner == "null", inner == "true", inner == "false":
		return m
	}
	quote := v[:strings.Index(v, inner)]
	if before := strings.TrimRight(name, ": \t"); quote == "" && strings.HasSuffix(before, `"`) { // a number in JSON
		quote = `"`
		if strings.HasSuffix(before, `\"`) {
			quote = `\"`
		}
	}
	return name + quote + Removed + quote
}

// code takes out a value named code that holds many digits: error codes hold few.
func code(m string) string {
	part := namedCode.FindStringSubmatch(m)
	digits := 0
	for _, c := range part[2] {
		if '0' <= c && c <= '9' {
			digits++
		}
	}
	if digits < 4 {
		return m
	}
	return part[1] + Removed
}

// giftcard takes out a row of digits that begins like a gift card.
func (r *Redactor) giftcard(m string) string {
	digits := strings.NewReplacer(" ", "", "-", "").Replace(m)
	for _, p := range r.prefixes {
		if strings.HasPrefix(digits, p) && len(digits) >= len(p)+2 {
			return Removed
		}
	}
	return m
}

// cards takes out card numbers and tracks.
func cards(s string) string {
	var b strings.Builder
	for {
		start, end, ok := carddata.FindCard(s)
		if !ok {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:start])
		b.WriteString(Removed)
		s = s[end:]
	}
}

// longest is the length of the longest row of letters and digits that somebody may have written by hand.
const longest = 39

// longRuns takes out long rows of letters and digits with both in them: keys, digests, tokens of a shape not known here.
func longRuns(s string) string {
	var b strings.Builder
	kept := 0
	for at := 0; at < len(s); {
		end, letters, digits := at, false, false
		for ; end < len(s) && (wordByte(s[end]) || s[end] == '+'); end++ {
			isDigit := '0' <= s[end] && s[end] <= '9'
			digits, letters = digits || isDigit, letters || !isDigit && s[end] != '+'
		}
		if end-at > longest && letters && digits {
			b.WriteString(s[kept:at])
			b.WriteString(Removed)
			for range 2 { // the filling of Base64
				if end < len(s) && s[end] == '=' {
					end++
				}
			}
			kept = end
		}
		at = max(end, at+1)
	}
	if kept == 0 {
		return s
	}
	b.WriteString(s[kept:])
	return b.String()
}
