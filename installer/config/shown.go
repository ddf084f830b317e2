package config

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Shown is the text of a configuration file as a stranger may see it, and the references to secrets in it, so that who
// shows it can look for their values elsewhere. Keys keep their lines. References to secrets stay, values under names
// of secrets, comments and the paths of webhooks are left out. It works on files that Parse refuses, up to the place
// where they are no TOML any more.
func Shown(data []byte) (text string, refs []Secret) {
	s := &shower{p: &unstable.Parser{}}
	s.p.Reset(data)
	for s.p.NextExpression() {
		s.expression(s.p.Expression())
	}
	if err := s.p.Error(); err != nil {
		fmt.Fprintf(&s.out, "\n# not shown from here on: no TOML\n")
	} else if s.line > 0 {
		s.out.WriteString("\n")
	}
	return s.out.String(), s.refs
}

// shower writes a file anew, expression by expression.
type shower struct {
	p     *unstable.Parser
	out   strings.Builder
	line  int // lines begun so far
	table string
	refs  []Secret
}

func (s *shower) expression(e *unstable.Node) {
	name, line := keyOf(s.p, e, nil)
	for s.line < line {
		if s.line > 0 {
			s.out.WriteString("\n")
		}
		s.line++
	}
	switch e.Kind {
	case unstable.Table:
		s.table = name
		s.out.WriteString("[" + name + "]")
	case unstable.ArrayTable:
		s.table = name
		s.out.WriteString("[[" + name + "]]")
	case unstable.KeyValue:
		s.out.WriteString(name + " = ")
		s.value(name, e.Value())
	}
}

// value writes a value under its key.
func (s *shower) value(key string, v *unstable.Node) {
	switch v.Kind {
	case unstable.Array:
		s.list("[", "]", v, func(child *unstable.Node) { s.value(key, child) })
	case unstable.InlineTable:
		s.list("{", "}", v, func(child *unstable.Node) {
			name, _ := keyOf(s.p, child, nil)
			s.out.WriteString(name + " = ")
			s.value(name, child.Value())
		})
	case unstable.String:
		s.out.WriteString(strconv.Quote(s.text(key, string(v.Data))))
	default:
		if secretName(key) {
			s.out.WriteString(`"[removed]"`)
			return
		}
		s.out.Write(v.Data)
	}
}

func (s *shower) list(open, end string, v *unstable.Node, each func(*unstable.Node)) {
	s.out.WriteString(open)
	for it, n := v.Children(), 0; it.Next(); {
		if it.Node().Kind == unstable.Comment {
			continue
		}
		if n > 0 {
			s.out.WriteString(", ")
		}
		n++
		each(it.Node())
	}
	s.out.WriteString(end)
}

// text is what may be shown of a text under a key.
func (s *shower) text(key, v string) string {
	last := key[strings.LastIndex(key, ".")+1:]
	var ref Secret
	switch {
	case last == "port": // file: is a device here
		return v
	case ref.UnmarshalText([]byte(v)) == nil:
		s.refs = append(s.refs, ref)
		return v
	case secretName(key):
		return "[removed]"
	case s.table == "webhook" && last == "url":
		if u, err := url.Parse(v); err == nil && u.Host != "" {
			return u.Scheme + "://" + u.Host + "/[removed]" // whoever knows such an address may often post there
		}
		return "[removed]"
	}
	return v
}

// secretName reports whether a key is called like a secret.
func secretName(key string) bool {
	last := strings.ToLower(key[strings.LastIndex(key, ".")+1:])
	if slices.Contains([]string{"key_identifier", "key_version"}, last) {
		return false
	}
	return slices.ContainsFunc([]string{"password", "passwd", "passphrase", "secret", "token", "pin", "key", "cvv"}, func(word string) bool {
		return last == word || strings.HasSuffix(last, "_"+word) || strings.HasPrefix(last, word+"_") || word != "pin" && word != "key" && strings.Contains(last, word)
	})
}
