package register

import (
	"testing"

	"storeagent/devices/scanner"
	"storeagent/devices/scanner/gs1"
)

func TestScanEventsTellWhatGS1Says(t *testing.T) {
	s := &Server{}
	got := s.describe(scanner.Scan{
		Data: []byte("010952123454321331030017503922999"), GTIN: "09521234543213", Weight: "1.750", Price: "9.99",
		GS1: map[string]string{"01": "09521234543213"}, GS1Warnings: []gs1.Fault{{AI: "3922", Message: "odd"}},
	})
	if got.Kind != "item" || got.Weight != "1.750" || got.Price != "9.99" || got.GS1["01"] == "" || len(got.GS1Warnings) != 1 {
		t.Errorf("item: %+v", got)
	}
	if got = s.describe(scanner.Scan{Data: []byte("https://id.gs1.org/01/09521234543213"), GTIN: "09521234543213", Link: true}); got.Kind != "digitalLink" {
		t.Errorf("link: %+v", got)
	}
	got = s.describe(scanner.Scan{Data: []byte("0109521234543214"), GS1Errors: []gs1.Fault{{AI: "01", Message: "has a wrong check digit"}}})
	if got.Kind != "unknown" || got.GS1 != nil || len(got.GS1Errors) != 1 {
		t.Errorf("broken: %+v", got)
	}
}
