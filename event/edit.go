package event

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Archives are stricter than JSON is. Elasticsearch rejects a document for a key that an object has twice, for a number of a thousand
// digits, and, in its `flattened` fields, for a NUL in a key and for a key whose path is longer than a term may be. A sender must not keep
// its event out of the archive so. While a document is read, what looks like it is only counted; JSON that is to be kept and has such
// places is then reviewed, which lists edits, and copied with them.

const (
	longestNumber = 300      // bytes of a number; longer ones are kept as strings
	longestPath   = 16 << 10 // bytes of keys from the root of what is kept; what is below gets short keys
	longKey       = 128      // bytes of a key with which no path gets too long
	shortenedKey  = 32       // bytes that are left of a key that is shortened
)

// edit is what to do with a part of the document where it is kept.
type edit struct {
	from, to int
	kind     editKind
	text     string // of rename
}

type editKind uint8

const (
	leaveOut editKind = iota // a member that comes again, up to the next member
	quote                    // a number, as a string
	rename                   // a key with its quotes
)

// editor reviews a value of a document that is known to be JSON.
type editor struct {
	keys    keyTable
	edits   []edit
	objects int32
	path    int // bytes of the keys that the value stands under
}

// review lists the edits of the value that begins at i: by where they begin, an outer one before those in it. They are the caller's.
func (e *Event) review(i int) []edit {
	e.json.editor = editor{keys: newKeyTable()}
	e.reviewValue(i)
	edits := e.json.editor.edits
	e.json.editor = editor{}
	slices.SortFunc(edits, func(a, b edit) int {
		if c := cmp.Compare(a.from, b.from); c != 0 {
			return c
		}
		return cmp.Compare(b.to, a.to)
	})
	return edits
}

// reviewValue returns where the value that begins at i ends.
func (e *Event) reviewValue(i int) int {
	b := e.json.data
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{':
		return e.reviewObject(i)
	case '[':
		for i = skipBlank(b, i+1); b[i] != ']'; {
			if i = skipBlank(b, e.reviewValue(i)); b[i] == ',' {
				i = skipBlank(b, i+1)
			}
		}
		return i + 1
	}
	from := i
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	if c := b[from]; (c == '-' || c >= '0' && c <= '9') && !keepNumber(b[from:i]) {
		e.json.editor.edits = append(e.json.editor.edits, edit{from: from, to: i, kind: quote})
	}
	return i
}

func (e *Event) reviewObject(i int) int {
	b, r := e.json.data, &e.json.editor
	object, path, last := r.objects, r.path, int32(-1)
	r.objects++
	for i = skipBlank(b, i+1); b[i] != '}'; {
		begin := i
		key, end, _ := e.str(i+1, true)
		last = r.member(object, last, key, begin, end)
		r.path = path + len(r.keys.members[last].key) + 1
		i = skipBlank(b, skipBlank(b, end)+1) // the colon
		i = skipBlank(b, e.reviewValue(i))
		r.path = path
		if b[i] == ',' {
			i = skipBlank(b, i+1)
		}
	}
	return i + 1
}

// member notes a member of an object, behind its last one, and returns its place in the table.
func (r *editor) member(object, last int32, key string, begin, end int) int32 {
	if last >= 0 {
		r.keys.members[last].to = begin
	}
	if keep := r.keepKey(key); keep != key {
		r.edits = append(r.edits, edit{begin, end, rename, keep})
		key = keep
	}
	at, earlier := r.keys.note(object, key, begin)
	if earlier >= 0 {
		m := &r.keys.members[earlier]
		r.edits = append(r.edits, edit{from: m.from, to: m.to, kind: leaveOut})
	}
	return at
}

// keepKey is a key as archives take it.
func (r *editor) keepKey(key string) string {
	key = strings.ToValidUTF8(strings.ReplaceAll(key, "\x00", "\ufffd"), "\ufffd")
	if r.path+len(key) <= longestPath || len(key) <= shortenedKey {
		return key
	}
	n := shortenedKey
	for n > 0 && !utf8.RuneStart(key[n]) {
		n--
	}
	return key[:n] + "…"
}

// keepNumber says whether archives can read a number.
func keepNumber(b []byte) bool {
	if len(b) > longestNumber {
		return false
	}
	_, err := strconv.ParseFloat(view(b), 64)
	return err == nil
}

// appendEdited appends a part of the document with its edits, and returns those that lie behind it.
func appendEdited(dst, data []byte, part span, edits []edit) ([]byte, []edit) {
	from := part.from
	for ; len(edits) > 0 && edits[0].from < part.to; edits = edits[1:] {
		d := &edits[0]
		if d.from < from {
			continue // in what was left out
		}
		dst = append(dst, data[from:d.from]...)
		switch d.kind {
		case leaveOut:
		case quote:
			dst = append(append(append(dst, '"'), data[d.from:d.to]...), '"')
		case rename:
			dst = AppendString(dst, d.text)
		}
		from = d.to
	}
	if from < part.to {
		dst = append(dst, data[from:part.to]...)
	}
	return dst, edits
}

// clean is a value of the document as archives take it; mark is how many suspects there were before the value.
func (e *Event) clean(from, to, mark int) []byte {
	j := &e.json
	if j.suspects == mark {
		return j.data[from:to]
	}
	edits := e.review(from)
	if len(edits) == 0 {
		return j.data[from:to]
	}
	start := len(e.arena)
	e.arena, _ = appendEdited(e.room(to-from), j.data, span{from, to}, edits)
	return e.arena[start:]
}
