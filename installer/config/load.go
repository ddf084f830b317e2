package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Problem is one thing wrong with the file.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"` // 1-based, 0 where the key is missing altogether
	Key     string `json:"key,omitempty"`  // device[0].port
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Error is a refused configuration with everything that is wrong with it, in the order of the file.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Load reads and checks the file. What is wrong comes as *Error.
func Load(path string, drivers []Driver) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		hint := "write one, or name another with --config or STOREAGENT_CONFIG"
		if errors.Is(err, os.ErrPermission) {
			return nil, &Error{[]Problem{{File: path, Message: "may not be read by this user", Hint: "run this with sudo; the user that runs storeagent must be able to read it"}}}
		}
		return nil, &Error{[]Problem{{File: path, Message: "cannot be read", Hint: hint}}}
	}
	return Parse(path, data, drivers)
}

// Parse checks the text of a configuration file; path only names it.
func Parse(path string, data []byte, drivers []Driver) (*Config, error) {
	c := defaults()
	c.Path = path
	l := &loader{path: path, lines: index(data), drivers: drivers}
	l.decode(data, &c)
	if len(l.problems) == 0 || l.decoded {
		l.check(&c)
	}
	if len(l.problems) > 0 {
		slices.SortStableFunc(l.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, &Error{l.problems}
	}
	return &c, nil
}

// loader gathers what is wrong.
type loader struct {
	path     string
	lines    map[string]int
	drivers  []Driver
	decoded  bool // the whole file was read, so that checks of values make sense
	problems []Problem
}

func (l *loader) add(key, message, hint string) {
	l.problems = append(l.problems, Problem{File: l.path, Line: l.line(key), Key: key, Message: message, Hint: hint})
}

// line finds the line of a key, or of the nearest table above it.
func (l *loader) line(key string) int {
	for key != "" {
		if n, ok := l.lines[key]; ok {
			return n
		}
		cut := strings.LastIndexAny(key, ".[")
		if cut < 0 {
			return 0
		}
		key = key[:cut]
	}
	return 0
}

// decode fills c and notes unknown keys and wrong types.
func (l *loader) decode(data []byte, c *Config) {
	dec := toml.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(c)
	var strict *toml.StrictMissingError
	var one *toml.DecodeError
	switch {
	case err == nil:
		l.decoded = true
	case errors.As(err, &strict):
		l.decoded = true
		for i := range strict.Errors {
			e := &strict.Errors[i]
			row, _ := e.Position()
			key := strings.Join(e.Key(), ".")
			l.problems = append(l.problems, Problem{
				File: l.path, Line: row, Key: key, Message: "unknown key", Hint: suggest(e.Key(), *c),
			})
		}
	case errors.As(err, &one):
		row, _ := one.Position()
		l.problems = append(l.problems, Problem{
			File: l.path, Line: row, Key: strings.Join(one.Key(), "."), Message: plain(one.Error()), Hint: typeHint(one.Error()),
		})
	default:
		l.problems = append(l.problems, Problem{File: l.path, Message: plain(err.Error())})
	}
}

// options decodes the options of a device into its driver's struct.
func (l *loader) options(key string, given map[string]any, into any) {
	text, err := toml.Marshal(given)
	if err != nil {
		l.add(key, "cannot be read: "+plain(err.Error()), "")
		return
	}
	dec := toml.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err = dec.Decode(into)
	var strict *toml.StrictMissingError
	var one *toml.DecodeError
	switch {
	case err == nil:
	case errors.As(err, &strict):
		for i := range strict.Errors {
			k := strict.Errors[i].Key()
			l.add(key+"."+strings.Join(k, "."), "unknown option", suggest(k, into))
		}
	case errors.As(err, &one):
		l.add(key+"."+strings.Join(one.Key(), "."), plain(one.Error()), typeHint(one.Error()))
	default:
		l.add(key, plain(err.Error()), "")
	}
}

// goField is how the decoder names where a value of the wrong type should have gone; nobody in a shop knows Go.
var goField = regexp.MustCompile(`cannot decode TOML (\S+) into .*`)

// plain strips the decoder's own prefix, and says a wrong type in the words of the file.
func plain(msg string) string {
	return goField.ReplaceAllString(strings.TrimPrefix(msg, "toml: "), "is of the wrong kind ($1)")
}

// typeHint turns the decoder's words on a wrong type, or on what is no value at all, into a next step.
func typeHint(msg string) string {
	const kinds = "texts stand in quotes, lists in [ ]; numbers and true/false stand alone"
	for _, h := range [][2]string{
		{"cannot decode", kinds},
		{"incompatible types", kinds},
		{"at start of value", kinds},
		{"basic strings cannot", "the quote at the end is missing"},
		{"invalid escape character", `write each \ twice, or the text in '…'`},
		{"table device already exists", "each device begins with [[device]], in double brackets"},
	} {
		if strings.Contains(msg, h[0]) {
			return h[1]
		}
	}
	return ""
}

// index maps every key of the file to its line: "store.code", "device[1].options.password".
func index(data []byte) map[string]int {
	lines := map[string]int{}
	counts := map[string]int{}
	var p unstable.Parser
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			name, line := keyOf(&p, e, counts)
			if e.Kind == unstable.ArrayTable {
				n := counts[name]
				counts[name] = n + 1
				name = fmt.Sprintf("%s[%d]", name, n)
			}
			table = name
			lines[name] = line
		case unstable.KeyValue:
			name, line := keyOf(&p, e, nil)
			if table != "" {
				name = table + "." + name
			}
			lines[name] = line
		}
	}
	return lines
}

// keyOf gives the dotted key of an expression and its line. Parts that name an array of tables stand for its last
// element so far.
func keyOf(p *unstable.Parser, e *unstable.Node, counts map[string]int) (string, int) {
	var b strings.Builder
	line := 0
	for it := e.Key(); it.Next(); {
		n := it.Node()
		if line == 0 {
			line = p.Shape(n.Raw).Start.Line
		}
		if b.Len() > 0 {
			if c := counts[b.String()]; c > 0 {
				fmt.Fprintf(&b, "[%d]", c-1)
			}
			b.WriteByte('.')
		}
		b.Write(n.Data)
	}
	return b.String(), line
}
