package lists

import (
	"bytes"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/klaxonhq/klaxon/internal/diag"
)

// Bounds on what is loaded, so that a wrong file costs little.
const (
	maxFileBytes = 64 << 20
	maxEntries   = 2_000_000
	maxEntry     = 1024
)

// Registry is lists by name. The zero Registry is ready for use, and a nil one has no lists.
type Registry struct{ lists map[string]*List }

// Load reads every *.txt and *.csv file of a tree; the file's base name without its ending is the list's name. In a text file each line is
// an entry; blank lines and everything from a # that begins a line or follows a blank are left out. A CSV file is a table. What is wrong is
// reported in list with its place.
func Load(fsys fs.FS, list *diag.List) *Registry {
	r := &Registry{lists: map[string]*List{}}
	r.LoadInto(fsys, list)
	return r
}

// Extensions is how the names of list files end.
func Extensions() []string { return []string{".txt", ".csv"} }

// LoadInto adds the lists of another tree, which take the place of those of the same name: so a folder of one's own replaces a
// list that ships. A name that is twice in one tree is reported.
func (r *Registry) LoadInto(fsys fs.FS, list *diag.List) {
	seen := map[string]bool{}
	diag.Walk(fsys, Extensions(), list, func(file string, data []byte) {
		p := &problems{list: list, file: file}
		base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		if seen[base] {
			p.report(0, 0, fmt.Sprintf("there is already a list %s", base), "give one of them another name")
			return
		}
		seen[base] = true
		r.parse(base, filepath.Ext(file), data, p)
	})
}

// maxProblems bounds what is said about one file, which may be something else altogether.
const maxProblems = 20

// problems reports the mistakes of one file.
type problems struct {
	list  *diag.List
	file  string
	count int
}

// report reports a mistake; line 0 is the whole file. It answers whether to go on looking for more.
func (p *problems) report(line, column int, message, hint string) (more bool) {
	*p.list = append(*p.list, diag.Diagnostic{File: p.file, Line: line, Column: column, Message: message, Hint: hint})
	p.count++
	return p.count < maxProblems
}

func (r *Registry) parse(name, ext string, data []byte, p *problems) {
	if len(data) > maxFileBytes {
		p.report(0, 0, fmt.Sprintf("is %d bytes, and at most %d are read", len(data), maxFileBytes), "split the list")
		return
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if ext == ".csv" {
		r.table(name, data, p)
		return
	}
	r.set(name, data, p)
}

// set reads a set, an entry a line.
func (r *Registry) set(name string, data []byte, p *problems) {
	l := newList(name)
	r.Add(l) // also where it has mistakes: that there is no such list would be one too many
	line := 0
	for text := range strings.Lines(string(data)) {
		line++
		entry := cutComment(text)
		column := len(entry) - len(strings.TrimLeft(entry, " \t")) + 1
		entry = strings.TrimSpace(entry)
		more := true
		switch {
		case entry == "":
		case len(entry) > maxEntry || !utf8.ValidString(entry):
			more = p.report(line, column, fmt.Sprintf("an entry must be UTF-8 text of at most %d bytes", maxEntry), "is this a list, one entry a line?")
		case l.Len() >= maxEntries:
			p.report(line, 1, fmt.Sprintf("the list has more than %d entries", maxEntries), "write neighbouring addresses as networks")
			return
		default:
			if wrong := l.add(entry); wrong != nil {
				more = p.report(line, column, wrong.message, wrong.hint)
			}
		}
		if !more {
			return
		}
	}
	l.seal()
}

// cutComment cuts from a # that begins the line or follows a blank, so that an entry may hold one.
func cutComment(line string) string {
	for i := 0; i < len(line); i++ {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}

// Define adds a list that stands inline in a file, a YAML list of texts, in place of one of the same name.
func (r *Registry) Define(name string, entries diag.Node) {
	l := newList(name)
	for _, n := range entries.Seq() {
		if text := n.Text(); text == "" {
			n.Errorf("an entry is empty")
		} else if p := l.add(text); p != nil {
			n.Errorf("%s", p.message).Hint("%s", p.hint)
		}
	}
	l.seal()
	r.Add(l)
}

// Add puts a list into the registry, in place of one of the same name.
func (r *Registry) Add(l *List) {
	if r.lists == nil {
		r.lists = map[string]*List{}
	}
	r.lists[l.name] = l
}

// Get is the list of a name.
func (r *Registry) Get(name string) (*List, bool) {
	if r == nil {
		return nil, false
	}
	l, ok := r.lists[name]
	return l, ok
}

// Names is every name, sorted.
func (r *Registry) Names() []string {
	if r == nil {
		return nil
	}
	out := make([]string, 0, len(r.lists))
	for name := range r.lists {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
