package sale

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// FuzzSplit holds split against the standard library's decoder.
func FuzzSplit(f *testing.F) {
	for _, text := range []string{minimal, refund, `[]`, `{}`, `[ 1 , "a,]\\"", {"x":[1,2]} ]`, `{"a\u0062":"}", "":null}`, `[[],[[]],{}]`, `[-1.5e3,true]`, "{\"\\\\\":1\n}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = trim(raw)
		if !json.Valid(raw) || !utf8.Valid(raw) || raw[0] != '{' && raw[0] != '[' {
			return
		}
		var want []json.RawMessage
		dec := json.NewDecoder(bytes.NewReader(raw))
		if _, err := dec.Token(); err != nil {
			t.Fatal(err)
		}
		for dec.More() {
			if raw[0] == '{' {
				name, err := dec.Token()
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, json.RawMessage(name.(string)))
			}
			var value json.RawMessage
			if err := dec.Decode(&value); err != nil {
				t.Fatal(err)
			}
			want = append(want, value)
		}
		got := split(raw)
		if len(got) != len(want) {
			t.Fatalf("%s: %d parts, want %d: %s", raw, len(got), len(want), got)
		}
		for i, part := range got {
			if raw[0] == '{' && i%2 == 0 {
				part = json.RawMessage(unquote(part))
			}
			if !bytes.Equal(part, want[i]) {
				t.Fatalf("%s: part %d is %s, want %s", raw, i, part, want[i])
			}
		}
	})
}

// FuzzCanonical holds canonical against the standard library: read, and written again with sorted keys.
func FuzzCanonical(f *testing.F) {
	for _, text := range []string{minimal, refund, `{"b":[1.0,{}],"a":"<\u0041\u2028>"}`, `{}`, `[]`, `{"\u0062":1,"a":[[],"x"]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = trim(raw)
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		var v any
		if !json.Valid(raw) || !utf8.Valid(raw) || dec.Decode(&v) != nil || doubled(raw) {
			return
		}
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := canonical(&got, raw); err != nil || got.String() != string(want) {
			t.Fatalf("%s\nbecame %s\nwant   %s, %v", raw, got.String(), want, err)
		}
	})
}

// doubled tells whether an object names a key twice: a decoder takes the last of them.
func doubled(raw json.RawMessage) bool {
	if raw[0] != '{' && raw[0] != '[' {
		return false
	}
	seen := map[string]bool{}
	for i, part := range split(raw) {
		if raw[0] == '{' && i%2 == 0 {
			name := unquote(part)
			if seen[name] {
				return true
			}
			seen[name] = true
		} else if doubled(part) {
			return true
		}
	}
	return false
}
