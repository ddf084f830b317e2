package scanner

import (
	"testing"

	"storeagent/devices/scanner/gs1"
)

func TestReadGS1(t *testing.T) {
	tests := []struct {
		aim, data    string
		gtin, weight string
		elements     int
		fault        string
		link         bool
	}{
		{"]C1", "010952123454321310ABC123\x1d17251231", "09521234543213", "", 3, "", false},
		{"]e0", "010952123454321331030017503922999", "09521234543213", "1.750", 3, "", false},
		{"]d2", "0109521234543214", "", "", 0, "01", false},
		{"]Q1", "https://id.gs1.org/01/09521234543213/10/ABC?17=251231", "09521234543213", "", 3, "", true},
		{"]Q1", "https://id.gs1.org/01/9521234543213", "", "", 0, "01", true},
		{"]Q1", "https://example.com/menu", "", "", 0, "", false},
		{"]C0", "010952123454321310ABC123", "", "", 0, "", false}, // Code 128 without FNC1 is not GS1
		{"", "010952123454321310ABC123", "", "", 0, "", false},
	}
	for _, tc := range tests {
		s := Scan{AIM: tc.aim, Data: []byte(tc.data)}
		readGS1(&s)
		if s.GTIN != tc.gtin || s.Weight != tc.weight || len(s.GS1) != tc.elements || s.Link != tc.link || faultOn(s.GS1Errors) != tc.fault {
			t.Errorf("%s %q: %+v", tc.aim, tc.data, s)
		}
	}
}

func faultOn(list []gs1.Fault) string {
	if len(list) == 0 {
		return ""
	}
	return list[0].AI
}
