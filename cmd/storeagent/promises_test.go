package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPromisesNameRealTests reads the table of promises in ARCHITECTURE.md: every row names tests, and every test named
// is there. A row names them as "package: TestOne, TestTwo; other/package: TestThree".
func TestPromisesNameRealTests(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| ([1-9]) \|.*\| ([^|]+) \|$`)
	named := regexp.MustCompile("`([a-z0-9/]+): ([^`]+)`")
	var numbers []string
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		numbers = append(numbers, m[1])
		groups := named.FindAllStringSubmatch(m[2], -1)
		if len(groups) == 0 {
			t.Errorf("promise %s names no test: %q", m[1], m[2])
		}
		for _, g := range groups {
			there := testsIn(t, filepath.Join(root, filepath.FromSlash(g[1])))
			for name := range strings.SplitSeq(g[2], ", ") {
				if !slices.Contains(there, name) {
					t.Errorf("promise %s: %s has no %s", m[1], g[1], name)
				}
			}
		}
	}
	if got := strings.Join(numbers, ""); got != "123456789" {
		t.Errorf("the table has promises %q, want 1 to 9", got)
	}
}

// testsIn lists the test functions of a folder.
func testsIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}
