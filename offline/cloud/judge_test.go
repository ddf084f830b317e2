package cloud

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"storeagent/offline"
)

// TestJudge is the table of classes; each row is an answer to purchaseAdd with HTTP 400 unless it says otherwise.
func TestJudge(t *testing.T) {
	const at = `,"path":["purchaseAdd"]`
	err := func(code, more string) string {
		return `{"message":"m"` + more + `,"extensions":{"code":"` + code + `"}}`
	}
	null := func(list ...string) string {
		return `{"data":{"purchaseAdd":null},"errors":[` + strings.Join(list, ",") + `]}`
	}
	bare := func(list ...string) string { return `{"errors":[` + strings.Join(list, ",") + `]}` }
	nothing := func(list ...string) string { return `{"data":null,"errors":[` + strings.Join(list, ",") + `]}` }
	tests := []struct {
		name   string
		status int
		body   string
		class  offline.Class
		code   string
	}{
		{"validation at the field", 400, null(err("VALIDATION", at)), offline.ClassRejected, "VALIDATION"},
		{"the same with 200", 200, null(err("VALIDATION", at)), offline.ClassRejected, "VALIDATION"},
		{"the same from a non-null field", 400, nothing(err("VALIDATION", at)), offline.ClassRejected, "VALIDATION"},
		{"the same before anything ran", 400, bare(err("VALIDATION", "")), offline.ClassRejected, "VALIDATION"},
		{"validation nowhere, with data", 400, null(err("VALIDATION", "")), offline.ClassDoubt, "VALIDATION"},
		{"validation elsewhere", 400, null(err("VALIDATION", `,"path":["other"]`)), offline.ClassDoubt, "VALIDATION"},
		{"validation of the result", 400, null(err("VALIDATION", `,"path":["purchaseAdd","id"]`)), offline.ClassDoubt, "VALIDATION"},
		{"lower case is another code", 400, null(err("validation", at)), offline.ClassDoubt, "validation"},
		{"not authorized", 400, null(err("NOT_AUTHORIZED", at)), offline.ClassBlocked, "NOT_AUTHORIZED"},
		{"not authorized with 403", 403, bare(err("NOT_AUTHORIZED", "")), offline.ClassBlocked, "NOT_AUTHORIZED"},
		{"not authorized to see the id", 400, null(err("NOT_AUTHORIZED", `,"path":["purchaseAdd","id"]`)), offline.ClassDoubt, "NOT_AUTHORIZED"},
		{"not authenticated", 401, bare(err("NOT_AUTHENTICATED", "")), offline.ClassSignedOut, "NOT_AUTHENTICATED"},
		{"not authenticated at the field", 400, null(err("NOT_AUTHENTICATED", at)), offline.ClassSignedOut, "NOT_AUTHENTICATED"},
		{"fusion error", 400, null(err("FUSION_ERROR", at)), offline.ClassDoubt, "FUSION_ERROR"},
		{"fusion error without data", 400, bare(err("FUSION_ERROR", "")), offline.ClassDoubt, "FUSION_ERROR"},
		{"fusion error that sounds harmless", 400, bare(`{"message":"Unknown field","extensions":{"code":"FUSION_ERROR"}}`), offline.ClassDoubt, "FUSION_ERROR"},
		{"unknown code", 400, null(err("CARD_CLOSED", at)), offline.ClassDoubt, "CARD_CLOSED"},
		{"unknown code without data", 400, bare(err("CARD_CLOSED", "")), offline.ClassDoubt, "CARD_CLOSED"},
		{"known beside unknown", 400, null(err("VALIDATION", at), err("FUSION_ERROR", at)), offline.ClassDoubt, "VALIDATION"},
		{"no code at the field", 400, null(`{"message":"m"` + at + `}`), offline.ClassDoubt, "graphql_error"},
		{"no code, something ran", 400, bare(`{"message":"m"` + at + `}`), offline.ClassDoubt, "graphql_error"},
		{"data null and no code", 400, nothing(`{"message":"m"}`), offline.ClassDoubt, "graphql_error"},
		{"code is no text", 400, null(`{"message":"m","extensions":{"code":7}` + at + `}`), offline.ClassDoubt, "graphql_error"},
		{"request error", 400, bare(`{"message":"Syntax Error"}`), offline.ClassNotExecuted, "graphql_error"},
		{"request error with 200", 200, bare(`{"message":"Syntax Error"}`), offline.ClassNotExecuted, "graphql_error"},
		{"request error of GraphQL.NET", 400, bare(err("ARGUMENTS_OF_CORRECT_TYPE", "")), offline.ClassNotExecuted, "ARGUMENTS_OF_CORRECT_TYPE"},
		{"request error with 500", 500, bare(`{"message":"Syntax Error"}`), offline.ClassDoubt, "http_500"},
		{"unknown mutation", 400, bare(`{"message":"Cannot query field \"purchaseAdd\" on type \"M\"."}`), offline.ClassUnsupported, "graphql_error"},
		{"unknown mutation by code", 400, bare(err("FIELDS_ON_CORRECT_TYPE", "")), offline.ClassUnsupported, "FIELDS_ON_CORRECT_TYPE"},
		{"unknown mutation, odd code", 400, bare(`{"message":"Cannot query field 'purchaseAdd' on type 'M'.","extensions":{"code":"5.3.1"}}`), offline.ClassUnsupported, "5.3.1"},
		{"unknown mutation, says the code for anything", 400, bare(`{"message":"Cannot query field 'purchaseAdd' on type 'M'.","extensions":{"code":"FUSION_ERROR"}}`), offline.ClassDoubt, "FUSION_ERROR"},
		{"unknown argument", 400, bare(`{"message":"Unknown argument \"add\" on field \"purchaseAdd\" of type \"M\"."}`), offline.ClassUnsupported, "graphql_error"},
		{"unknown member, odd code", 400, bare(`{"message":"Unknown field.","extensions":{"code":"X7"}}`), offline.ClassDoubt, "X7"},
		{"unknown member", 400, bare(`{"message":"Argument \"add\" has invalid value.\nIn field \"uom\": Unknown field."}`), offline.ClassUnsupported, "graphql_error"},
		{"id and an error", 400, `{"data":{"purchaseAdd":{"id":"5"}},"errors":[` + err("FUSION_ERROR", "") + `]}`, offline.ClassDelivered, "FUSION_ERROR"},
		{"401 with words", 401, bare(`{"message":"m"}`), offline.ClassSignedOut, "graphql_error"},
		{"401, something ran", 401, null(err("FUSION_ERROR", at)), offline.ClassDoubt, "FUSION_ERROR"},
		{"429 with words", 429, bare(err("RATE_LIMITED", "")), offline.ClassNotExecuted, "RATE_LIMITED"},
		{"429, something ran", 429, null(err("FUSION_ERROR", at)), offline.ClassDoubt, "FUSION_ERROR"},
		{"429 with a result", 429, `{"data":{"purchaseAdd":{"id":"5"}}}`, offline.ClassDelivered, ""},
		{"403 without words", 403, `{}`, offline.ClassDoubt, "http_403"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := judgeMutation(read(tt.status, "application/json", []byte(tt.body)), purchaseAdd(), json.RawMessage(`{}`))
			code := ""
			if v.Fault != nil {
				code = v.Fault.Code
			}
			if v.Class != tt.class || code != tt.code {
				t.Errorf("class %d code %q, want %d %q", v.Class, code, tt.class, tt.code)
			}
		})
	}
}

// read plays an answer through the doer and the library, without a network.
func read(status int, kind string, body []byte) answer {
	x := &exchange{}
	data, err := ask(x, func(*http.Request) *http.Response { return respond(status, kind, body) })
	return x.answer(data, err)
}

// FuzzAnswer: whatever comes back, nothing panics, and delivered means a result with an id at our field and nothing
// else.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{`{"data":{"purchaseAdd":{"id":"1"}}}`, `{"data":{"purchaseAdd":null},"errors":[{"message":"m","path":["purchaseAdd"],"extensions":{"code":"VALIDATION","data":{"Property":"Sku"}}}]}`,
		`{}`, `{"errors":[{}]}`, `{"errors":[null]}`, `{"data":{"purchaseAdd":{"id":7}}}`, "\x1f\x8b", `<html>`, `{"errors":[{"message":"x","path":[null,1,{}]}]}`} {
		f.Add(200, "application/json", "", []byte(body))
		f.Add(400, "application/json", "5", []byte(body))
	}
	payload := json.RawMessage(`{"transactionId":"T"}`)
	f.Fuzz(func(t *testing.T, status int, kind, after string, body []byte) {
		x := &exchange{}
		data, err := ask(x, func(*http.Request) *http.Response {
			r := respond(status, kind, body)
			r.Header.Set("Retry-After", after)
			return r
		})
		a := x.answer(data, err)
		v := judgeMutation(a, purchaseAdd(), payload)
		judgeQuery(a, "environment")
		if v.RetryAfter < 0 || v.RetryAfter > maxRetryAfter {
			t.Errorf("retry after %v", v.RetryAfter)
		}
		if v.Class != offline.ClassDelivered {
			if v.Fault == nil || v.Fault.Code == "" || v.CloudID != "" {
				t.Errorf("%+v %+v", v, v.Fault)
			}
			return
		}
		var whole struct {
			Data struct {
				PurchaseAdd struct {
					ID any `json:"id"`
				} `json:"purchaseAdd"`
			} `json:"data"`
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(string(body), "\ufeff")), &whole); err != nil {
			t.Fatalf("delivered by %q: %v", body, err)
		}
		if id, ok := whole.Data.PurchaseAdd.ID.(string); v.CloudID == "" || ok && id != v.CloudID {
			t.Errorf("delivered as %q by %q", v.CloudID, body)
		}
		if status != 200 && status != 201 && (status < 400 || status > 499) {
			t.Errorf("delivered by status %d", status)
		}
	})
}

// FuzzLiteral: what goes in as JSON comes out as a literal that says the same.
func FuzzLiteral(f *testing.F) {
	for _, s := range []string{`{"a":"b"}`, `{"a":[1,-2.50,true,null,{"b":"\u0000\ud83d\ude00"}]}`, `{}`, `[]`, `{"a":1}x`, `{"a":`, `{"transType":"USE"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		text, err := literal(json.RawMessage(raw), nil)
		if err != nil {
			return
		}
		// Without enums a literal differs from JSON only in its bare member names and the escapes used.
		if strings.ContainsAny(text, "\n\r\x00") {
			t.Errorf("%q has a raw control character", text)
		}
		var want any
		if err := json.Unmarshal([]byte(raw), &want); err != nil {
			return // a number out of range for the comparison
		}
		var got any
		if err := json.Unmarshal([]byte(quoteNames(text)), &got); err != nil {
			t.Fatalf("%s became %s: %v", raw, text, err)
		}
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(got)
		if string(a) != string(b) {
			t.Errorf("%s became %s", raw, text)
		}
	})
}

// quoteNames puts the member names of a literal back into quotes.
func quoteNames(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			end := i + 1
			for text[end] != '"' {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			b.WriteString(text[i : end+1])
			i = end + 1
		case c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			end := i
			for end < len(text) && (text[end] == '_' || text[end] >= '0' && text[end] <= '9' || text[end] >= 'a' && text[end] <= 'z' || text[end] >= 'A' && text[end] <= 'Z') {
				end++
			}
			if end < len(text) && text[end] == ':' {
				b.WriteString(`"` + text[i:end] + `"`)
			} else {
				b.WriteString(text[i:end])
			}
			i = end
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String()
}

func TestEnumsGoBare(t *testing.T) {
	sp, _ := specOf(offline.GiftcardTrans)
	got, err := literal(json.RawMessage(`{"codeType":"PHYSICAL","code":"60 06","transType":"USE","amount":"-6.49","refNo":null}`), sp.enums)
	if want := `{codeType: PHYSICAL, code: "60 06", transType: USE, amount: "-6.49", refNo: null}`; got != want || err != nil {
		t.Errorf("%s %v", got, err)
	}
	for _, bad := range []string{`{"transType":"USE}"}`, `{"transType":""}`, `{"transType":"null"}`} {
		if got, err := literal(json.RawMessage(bad), sp.enums); err == nil {
			t.Errorf("%s became %s", bad, got)
		}
	}
}
