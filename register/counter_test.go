package register_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"storeagent/devices/display"
	"storeagent/devices/scale"
	"storeagent/register"
)

// counter answers by the device's name.
type counter struct{}

func (counter) Weigh(_ context.Context, name string) (scale.Reading, error) {
	switch name {
	case "deli":
		return scale.Reading{Weight: "1.250", Unit: "kg", At: time.Unix(1_700_000_000, 0)}, nil
	case "swinging":
		return scale.Reading{}, scale.ErrNotStable
	case "full":
		return scale.Reading{}, scale.ErrOverload
	case "lifted":
		return scale.Reading{}, scale.ErrBelowZero
	case "dead":
		return scale.Reading{}, scale.ErrNoAnswer
	}
	return scale.Reading{}, register.ErrNoDevice
}

func (counter) Show(_ context.Context, name string, lines []string) error {
	switch {
	case name == "dead":
		return display.ErrOffline
	case name != "pole":
		return register.ErrNoDevice
	case len(lines) > 0 && len(lines[0]) > display.Columns:
		return &display.TextError{Field: "lines[0]", Message: "is 21 characters long; a line has 20"}
	}
	return nil
}

func TestWeigh(t *testing.T) {
	s := newServer(t, newMemory())
	w := ask{method: "GET", path: "/v1/scales/deli/weight", token: registerToken}.do(t, s)
	if want := `{"weight":"1.250","unit":"kg","at":"2023-11-14T22:13:20Z"}`; w.Code != 200 || strings.TrimSpace(w.Body.String()) != want {
		t.Errorf("got %d %s, want %s", w.Code, w.Body, want)
	}
	for name, want := range map[string]string{"swinging": "not_stable", "full": "overload", "lifted": "below_zero", "dead": "device_offline", "none": "not_found"} {
		if w := (ask{method: "GET", path: "/v1/scales/" + name + "/weight", token: registerToken}).do(t, s); code(t, w) != want {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestShow(t *testing.T) {
	s := newServer(t, newMemory())
	for _, tt := range []struct{ name, body, code string }{
		{"pole", `{"lines": ["TOTAL 1.99", ""]}`, ""},
		{"pole", `{"lines": []}`, ""},
		{"pole", `{"lines": ["123456789012345678901"]}`, "validation_failed"},
		{"pole", `{"lines": ["a", "b", "c"]}`, "validation_failed"},
		{"pole", `{}`, "validation_failed"},
		{"pole", `{"lines": ["4111 1111 1111 1111"]}`, "card_data_refused"},
		{"dead", `{"lines": ["a"]}`, "device_offline"},
		{"none", `{"lines": ["a"]}`, "not_found"},
	} {
		w := ask{method: "POST", path: "/v1/displays/" + tt.name, token: registerToken, body: tt.body}.do(t, s)
		if got := code(t, w); got != tt.code || tt.code == "" && w.Code != 200 {
			t.Errorf("%s %s: %d %s", tt.name, tt.body, w.Code, w.Body)
		}
	}
}
