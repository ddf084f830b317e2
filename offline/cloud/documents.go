package cloud

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"storeagent/offline"
)

//go:embed documents/*.graphql
var builtIn embed.FS

// spec is one operation as the vendor documents it.
type spec struct {
	field  string   // the mutation, and the name of its document
	arg    string   // its one argument
	anyArg bool     // whatever it is called
	enums  []string // members of the argument that are enum values, which literals write bare
	fields []string // members of the argument that the agent may send
	lines  string   // the member that is a list of objects, "" for none
	line   []string // members of those
}

// specs are all mutations the agent sends.
func specs() []spec {
	return []spec{purchaseAdd(), giftcardTransAdd(), giftcardTransCapture(), giftcardTransCancel(), giftcardAdd()}
}

// specOf returns the operation of that type.
func specOf(t offline.OpType) (spec, bool) {
	switch t {
	case offline.Purchase:
		return purchaseAdd(), true
	case offline.GiftcardTrans:
		return giftcardTransAdd(), true
	case offline.GiftcardCapture:
		return giftcardTransCapture(), true
	}
	return spec{}, false
}

func purchaseAdd() spec {
	return spec{
		field: "purchaseAdd", arg: "add", lines: "lineItems",
		fields: []string{"transactionId", "storeCode", "purchasedOn", "payAmount", "saleDiscountAmount",
			"itemDiscountAmount", "subTotal", "refundAmount", "taxAmount", "channel", "memberId", "orderType", "payMethod", "lineItems"},
		line: []string{"lineNumber", "sku", "isRefund", "unitPrice", "extPrice", "itemDiscountAmount", "saleDiscountAmount",
			"quantity", "uom", "name", "vendor", "productPriceClass", "unitCost", "refundTransactionId", "refundLineNumber"},
	}
}

// document is a .graphql file taken apart.
type document struct {
	text     string // without comment lines
	name     string // of the operation
	nameEnd  int    // where in text a list of variables would stand
	declares bool   // it brings a list of variables of its own
}

// request is what goes to the library.
type request struct {
	document  string
	name      string
	variables map[string]any
	secrets   []string
}

var head = regexp.MustCompile(`^\s*(?:query|mutation)\s+([_A-Za-z][_0-9A-Za-z]*)\s*(\()?`)

// readDocuments reads the embedded files and those of the folder that replace them.
func readDocuments(dir string) (map[string]document, error) {
	entries, err := builtIn.ReadDir("documents")
	if err != nil {
		return nil, fmt.Errorf("read built-in documents: %w", err)
	}
	docs := map[string]document{}
	for _, e := range entries {
		text, err := builtIn.ReadFile("documents/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("read built-in documents: %w", err)
		}
		name := strings.TrimSuffix(e.Name(), ".graphql")
		if docs[name], err = parseDocument(name, string(text)); err != nil {
			return nil, err
		}
	}
	if dir == "" {
		return docs, nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.graphql"))
	if err != nil {
		return nil, fmt.Errorf("read overrides in %s: %w", dir, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".graphql")
		if _, ok := docs[name]; !ok && name != purchaseDocument {
			return nil, fmt.Errorf("read override %s: there is no built-in document of that name to replace", file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read override: %w", err)
		}
		if docs[name], err = parseDocument(name, string(text)); err != nil {
			return nil, fmt.Errorf("read override %s: %w", file, err)
		}
	}
	return docs, nil
}

// parseDocument takes off comment lines and finds the head.
func parseDocument(name, text string) (document, error) {
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			kept = append(kept, line)
		}
	}
	text = strings.TrimSpace(strings.Join(kept, ""))
	m := head.FindStringSubmatchIndex(text)
	if m == nil {
		return document{}, fmt.Errorf("%s.graphql: it must begin with query or mutation and a name", name)
	}
	d := document{text: text, name: text[m[2]:m[3]], nameEnd: m[3], declares: m[4] >= 0}
	if name == purchaseDocument && (!strings.HasPrefix(text, "query") || !variable("transactionId").MatchString(text) || !firstField.MatchString(text)) {
		return document{}, fmt.Errorf("%s.graphql: it must be a query that uses $transactionId", name)
	}
	for _, sp := range specs() {
		if sp.field != name {
			continue
		}
		if !strings.HasPrefix(text, "mutation") {
			return document{}, fmt.Errorf("%s.graphql: it must be a mutation", name)
		}
		if !variable(sp.arg).MatchString(text) || !strings.Contains(text, name) {
			return document{}, fmt.Errorf("%s.graphql: it must use $%s and answer under the name %s", name, sp.arg, name)
		}
	}
	return d, nil
}

func variable(name string) *regexp.Regexp { return regexp.MustCompile(`\$` + name + `\b`) }

// render puts the payload into the document: as a variable where the type's name is known, because the document
// declares it or introspection told, and as a literal in its place otherwise.
func (d document) render(s spec, payload json.RawMessage, typeName string) (request, error) {
	if _, err := splitObject(payload); err != nil {
		return request{}, errors.New("the payload is not a JSON object")
	}
	if d.declares || typeName != "" {
		text := d.text
		if !d.declares {
			text = d.text[:d.nameEnd] + "($" + s.arg + ": " + typeName + ")" + d.text[d.nameEnd:]
		}
		return request{document: text, name: d.name, variables: map[string]any{s.arg: payload}}, nil
	}
	value, err := literal(payload, s.enums)
	if err != nil {
		return request{}, err
	}
	return request{document: variable(s.arg).ReplaceAllLiteralString(d.text, value), name: d.name}, nil
}

var graphQLName = regexp.MustCompile(`^[_A-Za-z][_0-9A-Za-z]*$`)

// literal writes a JSON value as a GraphQL value literal, member order and numbers as they stand. The named members of
// the outermost object are enum values.
func literal(raw json.RawMessage, enums []string) (string, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var b strings.Builder
	if err := writeLiteral(&b, dec, 0, "", enums); err != nil {
		return "", err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("the payload has something behind its end")
	}
	return b.String(), nil
}

func writeLiteral(b *strings.Builder, dec *json.Decoder, depth int, member string, enums []string) error {
	tok, err := dec.Token()
	if err != nil {
		return errors.New("the payload is not JSON")
	}
	switch t := tok.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		fmt.Fprint(b, t)
	case json.Number:
		b.WriteString(t.String())
	case string:
		if depth == 1 && slices.Contains(enums, member) {
			if !graphQLName.MatchString(t) || t == "true" || t == "false" || t == "null" {
				return fmt.Errorf("%s is not an enum value", member)
			}
			b.WriteString(t)
			return nil
		}
		writeString(b, t)
	case json.Delim:
		return writeNested(b, dec, t, depth, enums)
	}
	return nil
}

func writeNested(b *strings.Builder, dec *json.Decoder, open json.Delim, depth int, enums []string) error {
	b.WriteString(open.String())
	for n := 0; dec.More(); n++ {
		if n > 0 {
			b.WriteString(", ")
		}
		member := ""
		if open == '{' {
			tok, err := dec.Token()
			if err != nil {
				return errors.New("the payload is not JSON")
			}
			member, _ = tok.(string)
			if !graphQLName.MatchString(member) {
				return errors.New("the payload has a member whose name GraphQL does not allow")
			}
			b.WriteString(member + ": ")
		}
		if err := writeLiteral(b, dec, depth+1, member, enums); err != nil {
			return err
		}
	}
	tok, err := dec.Token()
	if err != nil {
		return errors.New("the payload is not JSON")
	}
	b.WriteString(tok.(json.Delim).String())
	return nil
}

// writeString quotes by the GraphQL specification, section "String Value".
func writeString(b *strings.Builder, text string) {
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufeff':
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

// secretsIn returns the texts of a payload that must not be repeated: gift card codes and PINs.
func secretsIn(payload json.RawMessage) []string {
	fields, err := splitObject(payload)
	if err != nil {
		return nil
	}
	var list []string
	for _, name := range []string{"code", "pin", "physicalCode", "physicalPin"} {
		var text string
		if json.Unmarshal(fields[name], &text) == nil && len(text) > 2 {
			list = append(list, text)
		}
	}
	return list
}

// splitObject reads one whole JSON object strictly: UTF-8, no member twice, nothing behind the end.
func splitObject(raw []byte) (map[string]json.RawMessage, error) {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff")) // .NET writes one now and then
	if !utf8.Valid(raw) {
		return nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	tok, err := dec.Token()
	if err != nil || tok != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	fields := map[string]json.RawMessage{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, errors.New("not a whole JSON object")
		}
		name, ok := tok.(string)
		if !ok {
			return nil, errors.New("not a whole JSON object")
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("member %q is there twice", name)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errors.New("not a whole JSON object")
		}
		fields[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("not a whole JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return fields, nil
}
