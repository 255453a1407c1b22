package lists

import (
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

// Load reads every *.txt file of a tree: the file's base name without .txt is the list's name, each line an entry; blank lines
// and everything from a # that begins a line or follows a blank are left out. What is wrong is reported in list with its place.
func Load(fsys fs.FS, list *diag.List) *Registry {
	r := &Registry{lists: map[string]*List{}}
	r.LoadInto(fsys, list)
	return r
}

// LoadInto adds the lists of another tree, which take the place of those of the same name: so a folder of one's own replaces a
// list that ships. A name that is twice in one tree is reported.
func (r *Registry) LoadInto(fsys fs.FS, list *diag.List) {
	seen := map[string]bool{}
	diag.Walk(fsys, Extensions(), list, func(file string, data []byte) {
		base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		if seen[base] {
			report(list, file, 0, 0, fmt.Sprintf("there is already a list %s", base), "give one of them another name")
			return
		}
		seen[base] = true
		r.parse(base, file, data, list)
	})
}

// Extensions is how the names of list files end.
func Extensions() []string { return []string{".txt"} }

func report(list *diag.List, file string, line, column int, message, hint string) {
	*list = append(*list, diag.Diagnostic{File: file, Line: line, Column: column, Message: message, Hint: hint})
}

func (r *Registry) parse(name, file string, data []byte, list *diag.List) {
	if len(data) > maxFileBytes {
		report(list, file, 0, 0, fmt.Sprintf("is %d bytes, and at most %d are read", len(data), maxFileBytes), "split the list")
		return
	}
	l := newList(name)
	line := 0
	for text := range strings.Lines(string(data)) {
		line++
		if line == 1 {
			text = strings.TrimPrefix(text, "\ufeff")
		}
		entry := cutComment(text)
		blank := len(entry) - len(strings.TrimLeft(entry, " \t"))
		entry = strings.TrimSpace(entry)
		switch {
		case entry == "":
			continue
		case len(entry) > maxEntry || !utf8.ValidString(entry):
			report(list, file, line, blank+1, fmt.Sprintf("an entry must be UTF-8 text of at most %d bytes", maxEntry), "is this a list, one entry a line?")
			continue
		case l.Len() >= maxEntries:
			report(list, file, line, 1, fmt.Sprintf("the list has more than %d entries", maxEntries), "write neighbouring addresses as networks")
			return
		}
		if p := l.add(entry); p != nil {
			report(list, file, line, blank+1, p.message, p.hint)
		}
	}
	r.Add(l)
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
