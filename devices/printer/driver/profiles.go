package driver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Model is what a driver knows of one kind of printer, in the form of its profiles.json; P is what it works with.
type Model[P any] interface {
	// Called is the name of the profile.
	Called() string
	// Profile checks the model.
	Profile() (P, error)
}

// ParseModels reads the models that a driver brings along.
func ParseModels[M any](data []byte) ([]M, error) {
	var all []M
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("read profiles: %w", err)
	}
	return all, nil
}

// ProfileNames are the names of models, in the order of the alphabet.
func ProfileNames[M Model[P], P any](all []M) []string {
	var names []string
	for _, m := range all {
		names = append(names, m.Called())
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return names
}

// NamedProfile gives the profile of that name, in any case, or that of a file whose path ends in .json: one model,
// strictly.
func NamedProfile[M Model[P], P any](name string, all []M) (P, error) {
	if strings.HasSuffix(name, ".json") {
		return profileFile[M](name)
	}
	for _, m := range all {
		if strings.EqualFold(m.Called(), name) {
			return m.Profile()
		}
	}
	var none P
	return none, fmt.Errorf("profile %q is neither the path of a .json file nor one of %s", name, strings.Join(ProfileNames(all), ", "))
}

func profileFile[M Model[P], P any](path string) (none P, err error) {
	data, err := os.ReadFile(path) //nolint:gosec // the technician names it
	if err != nil {
		return none, fmt.Errorf("read profile: %w", err)
	}
	var m M
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return none, fmt.Errorf("read profile %s: %w", path, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return none, fmt.Errorf("read profile %s: it holds more than one profile", path)
	}
	p, err := m.Profile()
	if err != nil {
		return none, fmt.Errorf("read profile %s: %w", path, err)
	}
	return p, nil
}

// CheckColumns refuses a width of line that no receipt printer has.
func CheckColumns(n int) error {
	if n < 16 || n > 96 {
		return fmt.Errorf("columns is %d, must be from 16 to 96", n)
	}
	return nil
}
