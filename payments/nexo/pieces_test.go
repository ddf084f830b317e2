package nexo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// pieces is a connection that hears nothing and says its text in two pieces.
type pieces struct {
	first, second io.Reader
}

func (p *pieces) Read(b []byte) (int, error) {
	if n, err := p.first.Read(b); n > 0 || err == nil {
		return n, err
	}
	return p.second.Read(b)
}
func (p *pieces) Write(b []byte) (int, error) { return len(b), nil }

// TestVectorInPieces reads the protected message out of HTTP answers of both kinds, cut in two at every place.
func TestVectorInPieces(t *testing.T) {
	body := `{"SaleToPOIResponse":` + vectorSealed + "}"
	for name, wire := range map[string]string{
		"length":  fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
		"chunked": fmt.Sprintf("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 100, body[:100], len(body)-100, body[100:]),
	} {
		for cut := range len(wire) + 1 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://terminal/nexo", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			status, answer, err := roundTrip(&pieces{first: strings.NewReader(wire[:cut]), second: strings.NewReader(wire[cut:])}, req, nil)
			if err != nil || status != http.StatusOK || string(answer) != body {
				t.Fatalf("%s cut at %d: %d %q %v", name, cut, status, answer, err)
			}
			if cut%50 != 0 { // once read, the answer is the same
				continue
			}
			var outer struct{ SaleToPOIResponse sealed }
			if err := json.Unmarshal(answer, &outer); err != nil {
				t.Fatal(err)
			}
			if clear, err := vectorSealer(t).open(outer.SaleToPOIResponse); err != nil || !bytes.Equal(clear, []byte(vectorClear)) {
				t.Fatalf("%s cut at %d: %s %v", name, cut, clear, err)
			}
		}
		for short := range len(wire) - 1 { // and an answer that ends early is none
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://terminal/nexo", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			if _, answer, err := roundTrip(&pieces{first: strings.NewReader(wire[:short]), second: strings.NewReader("")}, req, nil); err == nil {
				t.Fatalf("%s of %d bytes: %q", name, short, answer)
			}
		}
	}
}
