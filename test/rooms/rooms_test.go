package rooms

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pkg is one package of the module, without its tests: a test may look further than what it tests.
type pkg struct {
	path    string // from the module's root
	imports []string
	files   []*ast.File
	fset    *token.FileSet
}

func TestRooms(t *testing.T) {
	module, packages := load(t)
	if len(packages) == 0 {
		t.Fatal("go list names no package: nothing was checked")
	}
	for _, finding := range check(module, packages) {
		t.Error(finding)
	}
}

// check returns what breaks the table, one sentence each.
func check(module string, packages []pkg) []string {
	var findings []string
	for _, p := range packages {
		from := roomOf(p.path)
		if from == nil {
			findings = append(findings, p.path+" belongs to no room: add it to the table, with what it may import")
			continue
		}
		findings = append(findings, arrows(module, p, from)...)
		findings = append(findings, adapters(module, p)...)
		findings = append(findings, dependencies(p)...)
		if from.pure {
			findings = append(findings, impurities(p)...)
		}
	}
	return findings
}

// arrows finds imports of rooms that the package's room may not import.
func arrows(module string, p pkg, from *room) []string {
	var findings []string
	for _, path := range p.imports {
		to := roomOf(strings.TrimPrefix(path, module+"/"))
		if !strings.HasPrefix(path, module+"/") || to == nil || to.path == from.path || to.path == "internal" {
			continue
		}
		if !slices.Contains(from.may, everything) && !slices.Contains(from.may, to.path) {
			findings = append(findings, fmt.Sprintf("%s -> %s: %s may import %s (%s)",
				p.path, strings.TrimPrefix(path, module+"/"), from.path, orNothing(from.may), from.why))
		}
	}
	return findings
}

// adapters finds a sink that knows another one, or both what is archived and who is told.
func adapters(module string, p pkg) []string {
	if !under(p.path, "sinks") {
		return nil
	}
	var findings []string
	var archives, tells bool
	for _, path := range p.imports {
		to := strings.TrimPrefix(path, module+"/")
		archives = archives || under(to, "archive")
		tells = tells || under(to, "incidents")
		if under(to, "sinks") && system(to) != system(p.path) {
			findings = append(findings, fmt.Sprintf("%s -> %s: no sink imports another", p.path, to))
		}
	}
	if archives && tells {
		findings = append(findings, p.path+" -> archive and incidents: archive writers know no incidents, notifiers no archive")
	}
	return findings
}

// system returns the folder of the outside system that a sink serves.
func system(path string) string {
	rest := strings.TrimPrefix(path, "sinks/")
	first, _, _ := strings.Cut(rest, "/")
	return first
}

// dependencies finds imports of modules that are kept to certain packages.
func dependencies(p pkg) []string {
	var findings []string
	for _, rule := range outside() {
		allowed := slices.ContainsFunc(rule.paths, func(path string) bool { return under(p.path, path) })
		for _, path := range p.imports {
			if !allowed && under(path, rule.module) {
				findings = append(findings, fmt.Sprintf("%s -> %s: only %s may (%s)", p.path, path, strings.Join(rule.paths, ", "), rule.why))
			}
		}
	}
	return findings
}

// impurities finds goroutines, clocks and I/O in a package that holds none.
func impurities(p pkg) []string {
	var findings []string
	for _, path := range p.imports {
		if slices.ContainsFunc(impure(), func(one string) bool { return path == one || strings.Contains(one, ".") && under(path, one) }) {
			findings = append(findings, fmt.Sprintf("%s -> %s: this room holds no goroutine, no clock and no I/O", p.path, path))
		}
	}
	for _, file := range p.files {
		clock := nameOf(file, "time")
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				findings = append(findings, fmt.Sprintf("%s: a goroutine; the caller owns those", p.fset.Position(n.Pos())))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && clock != "" && x.Name == clock && slices.Contains(clocks(), n.Sel.Name) {
					findings = append(findings, fmt.Sprintf("%s: time.%s; time is an argument here", p.fset.Position(n.Pos()), n.Sel.Name))
				}
			}
			return true
		})
	}
	return findings
}

// TestOneElasticsearchClient: its client is most of the build, so exactly one package compiles it.
func TestOneElasticsearchClient(t *testing.T) {
	_, packages := load(t)
	var users []string
	for _, p := range packages {
		if slices.ContainsFunc(p.imports, func(path string) bool { return under(path, "github.com/elastic/go-elasticsearch") }) {
			users = append(users, p.path)
		}
	}
	if len(users) != 1 {
		t.Errorf("go-elasticsearch is imported by %v, want exactly one package", users)
	}
}

// roomOf returns the room that a package lies in, or nil.
func roomOf(path string) *room {
	for _, r := range table() {
		if under(path, r.path) {
			return &r
		}
	}
	return nil
}

func under(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

func orNothing(rooms []string) string {
	if len(rooms) == 0 {
		return "no room"
	}
	return "only " + strings.Join(rooms, ", ")
}

// nameOf returns how a file calls an import, or "".
func nameOf(file *ast.File, path string) string {
	for _, spec := range file.Imports {
		if got, _ := strconv.Unquote(spec.Path.Value); got != path {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path[strings.LastIndex(path, "/")+1:]
	}
	return ""
}

// load reads every package of the module, with the files that other systems and tags would build too.
func load(t *testing.T) (module string, packages []pkg) {
	t.Helper()
	root := filepath.Dir(goCommand(t, ".", "env", "GOMOD"))
	module = goCommand(t, root, "list", "-m")
	decoder := json.NewDecoder(strings.NewReader(goCommand(t, root, "list", "-e", "-json=ImportPath,Dir,GoFiles,CgoFiles,IgnoredGoFiles", "./...")))
	for {
		var one struct {
			ImportPath, Dir                   string
			GoFiles, CgoFiles, IgnoredGoFiles []string
		}
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return module, packages
		} else if err != nil {
			t.Fatalf("cannot read what go list printed: %v", err)
		}
		p := pkg{path: strings.TrimPrefix(strings.TrimPrefix(one.ImportPath, module), "/"), fset: token.NewFileSet()}
		if p.path == "" {
			p.path = "." // the module's own root
		}
		for _, name := range slices.Concat(one.GoFiles, one.CgoFiles, one.IgnoredGoFiles) {
			if !strings.HasSuffix(name, "_test.go") {
				p.add(t, filepath.Join(one.Dir, name))
			}
		}
		packages = append(packages, p)
	}
}

func (p *pkg) add(t *testing.T, path string) {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p.addSource(t, path, source)
}

func (p *pkg) addSource(t *testing.T, path string, source []byte) {
	t.Helper()
	file, err := parser.ParseFile(p.fset, path, source, 0)
	if err != nil {
		t.Fatalf("cannot read a source file: %v", err)
	}
	p.files = append(p.files, file)
	for _, spec := range file.Imports {
		if name, err := strconv.Unquote(spec.Path.Value); err == nil && !slices.Contains(p.imports, name) {
			p.imports = append(p.imports, name)
		}
	}
}

func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}
