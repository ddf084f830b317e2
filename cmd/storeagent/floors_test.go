package main

import (
	"encoding/json"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// floors lists the floors from the bottom up. A package belongs to the floor of its first path element.
var floors = []string{"internal", "devices", "payments", "offline", "register", "installer", "cmd"}

// leaves are rooms that every floor above, and their own floor, may import.
var leaves = []string{"devices/port", "devices/printer", "devices/printer/typeset", "devices/printer/codepage", "devices/printer/driver", "devices/printer/preview", "devices/scanner", "payments/money", "payments/wireline", "offline/sale", "offline/catalogue"}

// fences name the only package that may import a library.
var fences = map[string]string{
	"modernc.org/sqlite":                  "offline/sqlite",
	"github.com/hasura/go-graphql-client": "offline/cloud",
	"golang.org/x/oauth2":                 "offline/signin",
	"go.bug.st/serial":                    "devices/port/serialport",
	"github.com/danielgtaylor/huma/v2":    "register",
	"github.com/graph-gophers/graphql-go": "offline/cloudsim",
	"github.com/alecthomas/kong":          "cmd/storeagent",
	"github.com/pelletier/go-toml/v2":     "installer/config",
	"github.com/pressly/goose/v3":         "offline/sqlite",
	"github.com/prometheus/client_golang": "register",
	"github.com/google/gousb":             "devices/port/usbport",
	"github.com/go-text/typesetting":      "devices/printer/typeset",
	"github.com/kardianos/service":        "installer/setup",
}

// pkg is what "go list -json" tells of a package.
type pkg struct {
	ImportPath   string
	Doc          string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, "storeagent/") }

func isTestHelper(name string) bool { return strings.HasSuffix(path.Base(name), "test") }
func isSim(name string) bool        { return strings.HasSuffix(path.Base(name), "sim") }

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,TestImports,XTestImports,Deps", "storeagent/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 20 {
		t.Fatalf("go list names only %d packages", len(pkgs))
	}
	return pkgs
}

func floor(name string) int { return slices.Index(floors, strings.SplitN(name, "/", 2)[0]) }

// arrow says why from may not import to, "" where it may.
func arrow(from, to string) string {
	ff, tf := floor(from), floor(to)
	first, _, _ := strings.Cut(from, "/")
	switch {
	case ff < 0 || tf < 0:
		return "is on no floor"
	case isSim(to) && first != "cmd" && !isTestHelper(from):
		return "only tests and cmd import a simulator"
	case isTestHelper(to) && !isTestHelper(from):
		return "production code imports a test helper"
	case tf > ff:
		return "points upward"
	case first == "register" && slices.Contains([]string{"offline/sqlite", "offline/cloud", "offline/signin"}, to):
		return "register knows these by its own interfaces only"
	case tf < ff || first == "cmd" || first == "installer" || slices.Contains(leaves, to):
		return ""
	case !strings.Contains(to, "/"): // the root of the own floor
		return ""
	case from == "register" && slices.Contains([]string{"register/wire", "register/receipt", "register/console"}, to):
		return ""
	case first == "register" && to == "register/wire":
		return ""
	case strings.HasPrefix(from, "devices/port/") || strings.HasPrefix(to, from+"/") && first != from:
		return ""
	case strings.HasPrefix(from, to+"/"): // a room's own inner room may import it
		return ""
	case from == "devices/discovery" && to == "devices/port/serialport":
		return ""
	case isTestHelper(from):
		return ""
	case first == "internal":
		return ""
	}
	return "is a room of the same floor"
}

func TestFloors(t *testing.T) {
	for _, p := range list(t) {
		for _, imp := range p.Imports {
			if to, ok := strings.CutPrefix(imp, "storeagent/"); ok {
				if why := arrow(p.name(), to); why != "" {
					t.Errorf("%s imports %s: %s", p.name(), to, why)
				}
				continue
			}
			for lib, owner := range fences {
				if (imp == lib || strings.HasPrefix(imp, lib+"/")) && p.name() != owner && !isTestHelper(p.name()) {
					t.Errorf("%s imports %s: only %s may", p.name(), imp, owner)
				}
			}
		}
		if p.name() == "offline" || p.name() == "payments" || p.name() == "devices" || p.name() == "internal/journal" {
			for _, d := range p.Deps {
				if strings.Contains(strings.SplitN(d, "/", 2)[0], ".") && !slices.ContainsFunc(rootLibraries, func(l string) bool { return strings.HasPrefix(d, l) }) {
					t.Errorf("%s, a root, depends on %s", p.name(), d)
				}
			}
		}
	}
}

// rootLibraries may be used by the roots of the floors: pure code without I/O.
var rootLibraries = []string{"github.com/govalues/decimal", "github.com/google/uuid", "golang.org/x/text", "golang.org/x/time", "golang.org/x/sync"}

func TestNoTestingInProduction(t *testing.T) {
	for _, p := range list(t) {
		if !isTestHelper(p.name()) && (slices.Contains(p.Deps, "testing") || slices.Contains(p.Imports, "testing")) {
			t.Errorf("%s depends on testing", p.name())
		}
	}
}

// TestSimulatorsStandAlone holds simulators away from what they imitate, so that one misreading cannot hide in both.
func TestSimulatorsStandAlone(t *testing.T) {
	imitated := map[string][]string{
		"payments/terminalsim": {"payments/zvt", "payments/pax", "payments/telium", "payments/nexo", "payments/wireline", "payments"},
		"offline/cloudsim":     {"offline/cloud", "offline/signin", "offline"},
		"devices/devicesim":    {"devices/printer", "devices/printer/escpos", "devices/printer/starprnt", "devices/printer/codepage", "devices/scanner"},
	}
	seen := 0
	for _, p := range list(t) {
		for _, no := range imitated[p.name()] {
			seen++
			if slices.Contains(p.Deps, "storeagent/"+no) {
				t.Errorf("%s imports %s, which it imitates", p.name(), no)
			}
		}
	}
	if seen == 0 {
		t.Error("no simulator was looked at")
	}
}

func TestPackagesAreDocumented(t *testing.T) {
	for _, p := range list(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.name())
		}
	}
}
