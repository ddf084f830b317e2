package sale

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// split takes an object or an array apart: names and values in turn, or elements, as they were written. raw is valid JSON
// without white space around it; Decode has seen to that. A decoder of the standard library does the same at several times
// the cost, which every sale would pay while its customer waits.
func split(raw json.RawMessage) []json.RawMessage {
	var parts []json.RawMessage
	depth, start := 0, 1
	end := func(at int) {
		if part := trim(raw[start:at]); len(part) > 0 { // empty: between "[" and "]"
			parts = append(parts, part)
		}
		start = at + 1
	}
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			for i++; raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				end(i)
				return parts
			}
		case ',', ':':
			if depth == 1 {
				end(i)
			}
		}
	}
	return parts
}

// trim takes off the white space of JSON.
func trim(raw json.RawMessage) json.RawMessage {
	const blanks = " \t\r\n"
	for len(raw) > 0 && strings.IndexByte(blanks, raw[0]) >= 0 {
		raw = raw[1:]
	}
	for len(raw) > 0 && strings.IndexByte(blanks, raw[len(raw)-1]) >= 0 {
		raw = raw[:len(raw)-1]
	}
	return raw
}

// unquote reads a string of valid JSON.
func unquote(raw json.RawMessage) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var text string
	if json.Unmarshal(raw, &text) != nil { // it is valid, so that it always can be read
		return ""
	}
	return text
}

// canonical writes a JSON value with its keys sorted and its texts in one spelling: what encoding/json makes of it after
// reading it. Numbers stay as they were written.
func canonical(b *bytes.Buffer, raw json.RawMessage) error {
	switch raw[0] {
	case '{':
		parts := split(raw)
		order := make([]int, 0, len(parts)/2)
		names := make([]string, 0, len(parts)/2)
		for i := 0; i < len(parts); i += 2 {
			order, names = append(order, i/2), append(names, unquote(parts[i]))
		}
		slices.SortFunc(order, func(x, y int) int { return strings.Compare(names[x], names[y]) })
		for i, at := range order {
			b.WriteByte("{,"[min(i, 1)])
			if err := canonical(b, parts[2*at]); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := canonical(b, parts[2*at+1]); err != nil {
				return err
			}
		}
		if len(order) == 0 {
			b.WriteByte('{')
		}
		b.WriteByte('}')
	case '[':
		b.WriteByte('[')
		for i, e := range split(raw) {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := canonical(b, e); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case '"':
		if !bytes.ContainsAny(raw, "\\<>&\u2028\u2029") { // nothing that encoding/json writes otherwise
			b.Write(raw)
			return nil
		}
		text, err := json.Marshal(unquote(raw))
		if err != nil {
			return err
		}
		b.Write(text)
	default:
		b.Write(raw)
	}
	return nil
}
