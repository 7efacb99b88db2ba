package statuswire_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/statuswire/statuswire"

// floors is the house: a package may import what stands on a lower floor, never
// what stands on its own or above.
var floors = map[string]int{
	"cmd/statuswire": 9,
	"config":         8,
	"app":            7,

	"gateway":     6,
	"authcallout": 6,
	"broadcaster": 6,
	"edge":        6,
	"admin":       6,

	// The rooms of a browser, up to the endpoint.
	"internal/refusal":   2,
	"internal/relay":     3,
	"internal/access":    3,
	"internal/browser":   4,
	"internal/natsocket": 5,
	"internal/sse":       5,

	"internal/engine":                  1,
	"internal/fanout":                  1,
	"internal/fanout/fromhistory":      1,
	"internal/session":                 1,
	"internal/bucket":                  1,
	"internal/directory":               1,
	"internal/directory/directorytest": 1,
	"internal/directory/kv":            1,
	"internal/identity":                1,
	"internal/keyring":                 1,
	"internal/history":                 1,
	"internal/presence":                1,
	"internal/audit":                   1,
	"internal/metrics":                 1,
	"internal/mark":                    1,
	"internal/httpconn":                1,
	"internal/link":                    1,
	"internal/consumers":               1,

	"":                             0, // the shipped configuration files
	"status":                       0,
	"web":                          0,
	"internal/natsproto":           0,
	"internal/readbuf":             0,
	"internal/rounds":              0,
	"internal/keys":                0,
	"internal/limit":               0,
	"internal/tail":                0,
	"internal/noise":               0,
	"internal/pause":               0,
	"internal/text":                0,
	"internal/storage":             0,
	"internal/logtest":             0,
	"internal/storage/storagetest": 0,
	"internal/descriptors":         0,
	"internal/outbox":              0,
}

// adapters may import packages of their own floor: the one whose interface they fill,
// and what they fill it with.
var adapters = map[string][]string{
	"internal/directory/kv":            {"internal/directory", "internal/bucket"},
	"internal/keyring":                 {"internal/bucket"},
	"internal/link":                    {"internal/session"},
	"internal/directory/directorytest": {"internal/directory"},
	"internal/fanout/fromhistory":      {"internal/fanout", "internal/history"},
}

// beside are packages that stand beside the house and may import all of it.
var beside = []string{"bench", "test", "docs"}

// forbidden are dependencies that a package, or all but one, must not have.
var forbidden = []struct {
	dependency string
	holds      func(pkg string) bool
}{
	{"github.com/nats-io/nats-server/v2", func(pkg string) bool { return pkg == "status" || pkg == "broadcaster" }},
	{"github.com/jackc/pgx/v5", func(pkg string) bool { return pkg == "status" || pkg == "broadcaster" }},
}

type goPackage struct {
	ImportPath string
	Doc        string
	Imports    []string
	Deps       []string
	GoFiles    []string
	Dir        string
}

// packages asks the go command, so that what is held here is what is built.
func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,Deps,GoFiles,Dir", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// room is the package's path within the house; false for other modules'.
func room(importPath string) (string, bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func isBeside(name string) bool {
	return slices.ContainsFunc(beside, func(b string) bool { return name == b || strings.HasPrefix(name, b+"/") })
}

// TestHouse holds what CONTRIBUTING.md and docs/architecture.md say of the packages.
func TestHouse(t *testing.T) {
	all := packages(t)
	for _, rule := range []struct {
		name string
		hold func(*testing.T, []goPackage)
	}{
		{"imports go down only", testImportsGoDownOnly},
		{"every floor has its packages", testEveryFloorHasItsPackage},
		{"every package says what it is for", testEveryPackageSaysWhatItIsFor},
		{"nobody has a forbidden dependency", testForbiddenDependencies},
		{"files stay small", testFilesStaySmall},
		{"packages stay small", testPackagesStaySmall},
		{"there is no init function", testNoInit},
		{"lines of the log have constant texts", testLogTextsAreConstant},
	} {
		t.Run(rule.name, func(t *testing.T) { rule.hold(t, all) })
	}
}

func testImportsGoDownOnly(t *testing.T, all []goPackage) {
	for _, p := range all {
		name, _ := room(p.ImportPath)
		if isBeside(name) {
			continue
		}
		floor, known := floors[name]
		if !known {
			t.Errorf("package %q has no floor: give it one in house_test.go and in docs/architecture.md", name)
			continue
		}
		for _, imported := range p.Imports {
			other, ours := room(imported)
			if !ours || slices.Contains(adapters[name], other) {
				continue
			}
			if isBeside(other) || floors[other] >= floor {
				t.Errorf("%s (floor %d) imports %s (floor %d)", name, floor, other, floors[other])
			}
		}
	}
}

func testEveryFloorHasItsPackage(t *testing.T, all []goPackage) {
	var have []string
	for _, p := range all {
		name, _ := room(p.ImportPath)
		have = append(have, name)
	}
	for name := range floors {
		if !slices.Contains(have, name) {
			t.Errorf("house_test.go names the package %q, which does not exist", name)
		}
	}
}

func testEveryPackageSaysWhatItIsFor(t *testing.T, all []goPackage) {
	for _, p := range all {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func testForbiddenDependencies(t *testing.T, all []goPackage) {
	for _, p := range all {
		name, _ := room(p.ImportPath)
		for _, f := range forbidden {
			if !f.holds(name) {
				continue
			}
			for _, dep := range p.Deps {
				if dep == f.dependency || strings.HasPrefix(dep, f.dependency+"/") {
					t.Errorf("%s depends on %s", name, dep)
				}
			}
		}
	}
}

// maxFileLines is where a file has stopped being about one thing.
const maxFileLines = 450

func testFilesStaySmall(t *testing.T, all []goPackage) {
	for _, p := range all {
		for _, f := range p.GoFiles {
			b, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(b), "\n"); n > maxFileLines {
				t.Errorf("%s has %d lines", filepath.Join(p.Dir, f), n)
			}
		}
	}
}

// maxPackageLines is where a package has stopped being a room: who changes one thing in
// it passes too many others.
const maxPackageLines = 2000

// large are packages that have more.
var large = []string{"internal/engine", "internal/fanout"}

func testPackagesStaySmall(t *testing.T, all []goPackage) {
	for _, p := range all {
		name, _ := room(p.ImportPath)
		if isBeside(name) {
			continue
		}
		lines := 0
		for _, f := range p.GoFiles {
			b, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			lines += strings.Count(string(b), "\n")
		}
		if known := slices.Contains(large, name); (lines > maxPackageLines) != known {
			t.Errorf("%s has %d lines: it belongs into the list large in house_test.go if they are more than %d, and out of it if not", name, lines, maxPackageLines)
		}
	}
}

func testNoInit(t *testing.T, all []goPackage) {
	for _, p := range all {
		for _, f := range p.GoFiles {
			b, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), "\nfunc init()") {
				t.Errorf("%s has an init function", filepath.Join(p.Dir, f))
			}
		}
	}
}

// variableLogTexts are the files that may write a line whose text varies: the start, the
// end or an operator causes it, or internal/noise is told what it is like.
var variableLogTexts = []string{
	"admin/session.go", "app/connections.go", "cmd/statuswire/serve.go", "internal/engine/config.go", "internal/engine/log.go",
}

// testLogTextsAreConstant holds what internal/noise relies on: lines are alike when
// their texts are. A stranger that had a hand in a text would write as many as it likes.
func testLogTextsAreConstant(t *testing.T, all []goPackage) {
	for _, p := range all {
		name, _ := room(p.ImportPath)
		if isBeside(name) {
			continue
		}
		for _, f := range p.GoFiles {
			if slices.Contains(variableLogTexts, name+"/"+f) {
				continue
			}
			files := token.NewFileSet()
			parsed, err := parser.ParseFile(files, filepath.Join(p.Dir, f), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && writesLog(call) {
					if text, ok := call.Args[0].(*ast.BasicLit); !ok || text.Kind != token.STRING {
						t.Errorf("%s: the text of a line of the log is not constant: put what varies into an attribute", files.Position(call.Pos()))
					}
				}
				return true
			})
		}
	}
}

// writesLog is true for a call like s.opts.Logger.Warn(text, …).
func writesLog(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, method.Sel.Name) {
		return false
	}
	switch on := method.X.(type) {
	case *ast.SelectorExpr:
		return strings.HasSuffix(strings.ToLower(on.Sel.Name), "log") || strings.HasSuffix(strings.ToLower(on.Sel.Name), "logger")
	case *ast.Ident:
		return strings.HasSuffix(strings.ToLower(on.Name), "log") || strings.HasSuffix(strings.ToLower(on.Name), "logger")
	}
	return false
}
