package cloud

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// readingQuery is a catalogue document taken apart, so that it can be fitted to the tenant's schema. The documents are
// GraphQL (October 2021) with two marks of our own, which never leave: "@known" behind a field or an argument asks for
// it only where the schema is known to have it, and "... @all" asks for every plain field that the schema has.
type readingQuery struct {
	name string
	root selection
}

// selection is one field.
type selection struct {
	name  string
	known bool
	all   bool // "... @all"
	args  []argument
	sub   []selection
}

type argument struct {
	name, value string // value is the name after the $
	known       bool
}

var token = regexp.MustCompile(`[_A-Za-z][_0-9A-Za-z]*|\.\.\.|[{}():@$]|[^\s,]`)

type selectionParser struct{ rest []string }

func (p *selectionParser) peek() string {
	if len(p.rest) == 0 {
		return ""
	}
	return p.rest[0]
}

func (p *selectionParser) take(want ...string) error {
	for _, w := range want {
		if p.peek() != w {
			return fmt.Errorf("%q where %q should be", p.peek(), w)
		}
		p.rest = p.rest[1:]
	}
	return nil
}

func (p *selectionParser) name() (string, error) {
	n := p.peek()
	if !graphQLName.MatchString(n) {
		return "", fmt.Errorf("%q where a name should be", n)
	}
	p.rest = p.rest[1:]
	return n, nil
}

// mark takes an "@known" or "@all".
func (p *selectionParser) mark(word string) bool {
	if len(p.rest) > 1 && p.rest[0] == "@" && p.rest[1] == word {
		p.rest = p.rest[2:]
		return true
	}
	return false
}

// parseReading takes a catalogue document apart. A document that a person put in place of ours must have this form, too.
func parseReading(text string) (readingQuery, error) {
	p := &selectionParser{token.FindAllString(text, -1)}
	var q readingQuery
	err := p.take("query")
	if err == nil {
		q.name, err = p.name()
	}
	var list []selection
	if err == nil {
		list, err = p.selections(0)
	}
	switch {
	case err != nil:
		return q, err
	case len(p.rest) > 0:
		return q, errors.New("something follows the query")
	case len(list) != 1 || list[0].all:
		return q, errors.New("it must ask for exactly one query")
	}
	q.root = list[0]
	return q, nil
}

func (p *selectionParser) selections(depth int) ([]selection, error) {
	if depth > 8 {
		return nil, errors.New("it is nested too deeply")
	}
	if err := p.take("{"); err != nil {
		return nil, err
	}
	var list []selection
	for p.peek() != "}" {
		s, err := p.selection(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, p.take("}")
}

func (p *selectionParser) selection(depth int) (s selection, err error) {
	if p.peek() == "..." {
		s.all = true
		return s, p.take("...", "@", "all")
	}
	if s.name, err = p.name(); err != nil {
		return s, err
	}
	if p.peek() == "(" {
		if s.args, err = p.arguments(); err != nil {
			return s, err
		}
	}
	s.known = p.mark("known")
	if p.peek() == "{" {
		s.sub, err = p.selections(depth + 1)
	}
	return s, err
}

func (p *selectionParser) arguments() ([]argument, error) {
	if err := p.take("("); err != nil {
		return nil, err
	}
	var list []argument
	for p.peek() != ")" {
		var a argument
		var err error
		if a.name, err = p.name(); err != nil {
			return nil, err
		}
		if err := p.take(":", "$"); err != nil {
			return nil, err
		}
		if a.value, err = p.name(); err != nil {
			return nil, err
		}
		a.known = p.mark("known")
		list = append(list, a)
	}
	return list, p.take(")")
}

// objectType is what introspection told of an object. A nil one is not known.
type objectType struct {
	fields []objectField
}

type objectField struct {
	name   string
	typ    string // base name
	object bool   // it has fields of its own
	list   bool
	args   []string // by name; only the root's are kept
	needs  []string // those of them that must be given
	hard   bool     // an argument must be given
}

func (o *objectType) field(name string) (objectField, bool) {
	for _, f := range o.fields {
		if f.name == name {
			return f, true
		}
	}
	return objectField{}, false
}

// fitted is a query as it is sent.
type fitted struct {
	text    string
	learned bool // made with knowledge of the schema
	args    []string
}

// lookup gives an object type by its name, nil where it is not known.
type lookup func(name string) *objectType

// fit writes the query for a tenant. root is the query's field there, nil where nothing is known; values are literals
// by the name after the $. It fails where nothing would be left to ask for.
func (q readingQuery) fit(root *objectField, values map[string]string, types lookup) (fitted, error) {
	out := fitted{learned: root != nil}
	var b strings.Builder
	fmt.Fprintf(&b, "query %s {\n %s", q.name, q.root.name)
	var args []string
	for _, a := range q.root.args {
		value, given := values[a.value]
		switch {
		case !given, root == nil && a.known, root != nil && !slices.Contains(root.args, a.name):
			continue
		}
		args = append(args, a.name+": "+value)
		out.args = append(out.args, a.name)
	}
	if len(args) > 0 {
		b.WriteString("(" + strings.Join(args, ", ") + ")")
	}
	var parent *objectType
	if root != nil {
		parent = types(root.typ)
	}
	body := write(q.root.sub, parent, types)
	if body == "" {
		return out, errors.New("the tenant's schema is needed to know what to ask for, and it does not show it")
	}
	b.WriteString(body + "\n}")
	out.text = b.String()
	return out, nil
}

// write gives the selection set in braces, "" for an empty one. Where the schema is known and has none of the fields
// listed, all its plain fields are taken.
func write(list []selection, parent *objectType, types lookup) string {
	var parts []string
	have := map[string]bool{}
	add := func(text, name string) {
		if text != "" && !have[name] {
			have[name] = true
			parts = append(parts, text)
		}
	}
	for _, s := range list {
		switch {
		case s.all && parent != nil:
			for _, f := range parent.fields {
				add(plain(f, types), f.name)
			}
		case s.all, parent == nil && s.known:
		case parent == nil:
			text := unfitted(s, types)
			if text == "" { // all that matters is in there, and nobody knows what that is
				return ""
			}
			add(text, s.name)
		default:
			if f, ok := parent.field(s.name); ok {
				add(fittedField(s, f, types), s.name)
			}
		}
	}
	if len(parts) == 0 && parent != nil {
		for _, f := range parent.fields {
			add(plain(f, types), f.name)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " { " + strings.Join(parts, " ") + " }"
}

// unfitted writes a field of a schema that is not known.
func unfitted(s selection, types lookup) string {
	if s.sub == nil {
		return s.name
	}
	body := write(s.sub, nil, types)
	if body == "" {
		return ""
	}
	return s.name + body
}

func fittedField(s selection, f objectField, types lookup) string {
	if f.hard {
		return ""
	}
	if !f.object {
		return s.name
	}
	if s.sub == nil {
		return plain(f, types)
	}
	body := write(s.sub, types(f.typ), types)
	if body == "" {
		return ""
	}
	return s.name + body
}

// plain writes a field with everything in it that is no object: one level deep, which ends in every schema.
func plain(f objectField, types lookup) string {
	if f.hard {
		return ""
	}
	if !f.object {
		return f.name
	}
	inner := types(f.typ)
	if inner == nil {
		return ""
	}
	var names []string
	for _, g := range inner.fields {
		if !g.object && !g.hard {
			names = append(names, g.name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return f.name + " { " + strings.Join(names, " ") + " }"
}
