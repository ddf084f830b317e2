package register

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"storeagent/internal/carddata"
	"storeagent/register/wire"
)

// maxBody is the largest request body, in bytes; API contract, section 1.
const maxBody = 1 << 20

// maxDepth is how deep a body may nest. No body of ours needs more than six.
const maxDepth = 32

// node is a JSON value as it was written: numbers keep their text, objects their order and double names.
type node struct {
	kind byte // one of { [ " 0 t (true and false) n (null)
	text string
	keys []string // of an object, beside elems
	list []node
}

var errDepth = fmt.Errorf("nested deeper than %d", maxDepth)

// parseJSON reads exactly one JSON value. Errors are refusals with status 400.
func parseJSON(body []byte) (node, *refusal) {
	const hint = "Send one JSON value in UTF-8."
	if !utf8.Valid(body) {
		return node{}, refuse(http.StatusBadRequest, "invalid_json", "The body is not UTF-8.", hint)
	}
	if !json.Valid(body) {
		detail := "The body is not JSON."
		var raw json.RawMessage
		var syntax *json.SyntaxError
		if err := json.Unmarshal(body, &raw); errors.As(err, &syntax) {
			detail = fmt.Sprintf("The body is not JSON; it breaks at byte %d.", syntax.Offset)
		}
		return node{}, refuse(http.StatusBadRequest, "invalid_json", detail, hint)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	n, err := readNode(dec, 0)
	if err != nil {
		return node{}, refuse(http.StatusBadRequest, "invalid_json", "The body is "+err.Error()+".", hint)
	}
	return n, nil
}

func readNode(dec *json.Decoder, depth int) (node, error) {
	if depth > maxDepth {
		return node{}, errDepth
	}
	t, err := dec.Token()
	if err != nil {
		return node{}, err
	}
	switch v := t.(type) {
	case json.Delim:
		n := node{kind: byte(v)}
		for dec.More() {
			if n.kind == '{' {
				name, err := dec.Token()
				if err != nil {
					return node{}, err
				}
				n.keys = append(n.keys, name.(string)) // a valid object has only strings here
			}
			e, err := readNode(dec, depth+1)
			if err != nil {
				return node{}, err
			}
			n.list = append(n.list, e)
		}
		_, err := dec.Token()
		return n, err
	case string:
		return node{kind: '"', text: v}, nil
	case json.Number:
		return node{kind: '0', text: v.String()}, nil
	case bool:
		return node{kind: 't', text: strconv.FormatBool(v)}, nil
	}
	return node{kind: 'n'}, nil
}

// member gives the named member of an object.
func (n node) member(name string) (node, bool) {
	if i := slices.Index(n.keys, name); i >= 0 {
		return n.list[i], true
	}
	return node{}, false
}

// canonical writes the value so that two bodies that differ in key order and white space only come out the same.
// Numbers stay as written: 1.0 and 1 are different requests.
func (n node) canonical(b *bytes.Buffer) {
	switch n.kind {
	case '{':
		order := make([]int, len(n.keys))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(x, y int) int { return strings.Compare(n.keys[x], n.keys[y]) })
		b.WriteByte('{')
		for i, at := range order {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Quote(n.keys[at]))
			b.WriteByte(':')
			n.list[at].canonical(b)
		}
		b.WriteByte('}')
	case '[':
		b.WriteByte('[')
		for i, e := range n.list {
			if i > 0 {
				b.WriteByte(',')
			}
			e.canonical(b)
		}
		b.WriteByte(']')
	case '"':
		b.WriteString(strconv.Quote(n.text))
	case 'n':
		b.WriteString("null")
	default:
		b.WriteString(n.text)
	}
}

// join extends a location by a field name that is known.
func join(location, name string) string {
	if location == "" {
		return name
	}
	return location + "." + name
}

// place names a location for a person.
func place(location string) string {
	if location == "" {
		return "body"
	}
	return location
}

// doubles finds objects that name a field twice: decoders disagree which of the two counts.
func (n node) doubles(location string, names func(string) string, found *[]wire.FieldError) {
	seen := map[string]bool{}
	for i, e := range n.list {
		at := location + "[" + strconv.Itoa(i) + "]"
		if n.kind == '{' {
			name := n.keys[i]
			if seen[name] {
				*found = append(*found, field(place(location), "names one of its fields twice"))
			}
			seen[name] = true
			at = join(location, names(name))
		}
		e.doubles(at, names, found)
	}
}

// strange finds fields that the schema does not know, by their exact spelling. It names the object, and what the
// object may hold, but not the unknown field: that is the caller's text.
func (n node) strange(s *huma.Schema, reg huma.Registry, location string, found *[]wire.FieldError) {
	for s != nil && s.Ref != "" {
		s = reg.SchemaFromRef(s.Ref)
	}
	if s == nil {
		return
	}
	if n.kind == '[' {
		for i, e := range n.list {
			e.strange(s.Items, reg, location+"["+strconv.Itoa(i)+"]", found)
		}
		return
	}
	if n.kind != '{' || len(s.Properties) == 0 {
		return
	}
	for i, name := range n.keys {
		p, ok := s.Properties[name]
		if !ok {
			*found = append(*found, field(place(location), "has a field that is not known here; known are "+strings.Join(sortedNames(s), ", ")))
			continue
		}
		n.list[i].strange(p, reg, join(location, name), found)
	}
}

func sortedNames(s *huma.Schema) []string {
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// cardNames are field names that only card data bears, lower case and without separators.
var cardNames = []string{"pan", "cardnumber", "track1", "track2", "track3", "cvv", "cvc", "pin"}

func isCardName(name string) bool {
	name = strings.ToLower(strings.Map(func(r rune) rune {
		switch r {
		case '_', '-', ' ':
			return -1
		}
		return r
	}, name))
	return slices.Contains(cardNames, name)
}

// drawerPin tells the connector pin of a drawer operation (2 or 5) from a PIN.
func drawerPin(object node, name string, value node) bool {
	op, _ := object.member("op")
	return name == "pin" && op.text == "drawer" && value.kind == '0' && (value.text == "2" || value.text == "5")
}

// cardData finds fields named like card data and texts that look like a card number.
func (n node) cardData(location string, names func(string) string, found *[]wire.FieldError) {
	switch n.kind {
	case '"', '0':
		if carddata.LooksLikeCard(n.text, nil) {
			*found = append(*found, field(place(location), "holds what looks like a card number"))
		}
	case '[':
		for i, e := range n.list {
			e.cardData(location+"["+strconv.Itoa(i)+"]", names, found)
		}
	case '{':
		for i, name := range n.keys {
			at := join(location, names(name))
			switch {
			case isCardName(name) && !drawerPin(n, name, n.list[i]):
				*found = append(*found, field(place(location), "has a field named like card data"))
			case carddata.LooksLikeCard(name, nil):
				*found = append(*found, field(place(location), "has a field whose name looks like a card number"))
			case (name == "png" || name == "raw") && n.list[i].kind == '"':
				// Base64, not text: pixels, and printer bytes whose handler looks into them.
			default:
				n.list[i].cardData(at, names, found)
			}
		}
	}
}

// knownNames spells a field name only if the schema of the body knows it anywhere.
func knownNames(s *huma.Schema, reg huma.Registry) func(string) string {
	names := map[string]bool{}
	var walk func(s *huma.Schema, depth int)
	walk = func(s *huma.Schema, depth int) {
		for s != nil && s.Ref != "" {
			s = reg.SchemaFromRef(s.Ref)
		}
		if s == nil || depth > maxDepth {
			return
		}
		walk(s.Items, depth+1)
		for name, p := range s.Properties {
			names[name] = true
			walk(p, depth+1)
		}
	}
	walk(s, 0)
	return func(name string) string {
		if names[name] {
			return name
		}
		return "?"
	}
}
