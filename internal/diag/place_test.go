package diag

import (
	"strings"
	"testing"
)

// TestErrorfAtPointsIntoTheFile looks for a word in a text, and for the same word in the file.
func TestErrorfAtPointsIntoTheFile(t *testing.T) {
	for name, file := range map[string]string{
		"plain":             "where: aa and WORD bb\n",
		"plain on lines":    "x: 1\nwhere: aa and  \n  bb\n\n  or WORD cc\n",
		"single quotes":     "where: 'aa ''bb'' and WORD'\n",
		"double quotes":     "where: \"aa \\\"bb\\\" and WORD\"\n",
		"quotes on lines":   "where: 'aa and\n   bb or WORD' # c\n",
		"in flow":           "x: [{y: 1, where: 'aa and WORD', z: 2}]\n",
		"literal":           "where: |\n  aa\n    bb\n\n  cc WORD dd\n",
		"folded":            "x: 1\nwhere: >-\n  aa and\n  bb and (\n    cc\n    or WORD\n  )\n",
		"folded, paragraph": "where: >\n\n  aa\n\n\n  bb\n  WORD\n",
		"carriage returns":  "where: >-\r\n  aa and\r\n  bb WORD\r\n",
		"at once":           "where: WORD aa\n",
		"other letters":     "where: 'üü and WORD'\n",
	} {
		t.Run(name, func(t *testing.T) {
			var l List
			docs := Documents("f", []byte(file), &l)
			if len(docs) != 1 {
				t.Fatal(l)
			}
			n := find(docs[0])
			n.ErrorfAt(strings.Index(n.Raw(), "WORD"), "x")
			before := file[:strings.Index(file, "WORD")]
			line, column := 1+strings.Count(before, "\n"), len(before)-strings.LastIndexByte(before, '\n')
			if len(l) != 1 || l[0].Line != line || l[0].Column != column {
				t.Errorf("got %v, want %d:%d", l, line, column)
			}
		})
	}
	var l List
	docs := Documents("f", []byte("where: \"aa\\tbb\\x41 WORD\"\n"), &l)
	n := find(docs[0])
	n.ErrorfAt(strings.Index(n.Raw(), "WORD"), "x")
	if l[0].Line != 1 {
		t.Errorf("escapes: %v", l)
	}
}

// find is the value of the key where, wherever it is.
func find(n Node) Node {
	if n.IsMap() {
		m, _ := n.Map()
		for _, p := range m.Pairs() {
			if p.Key == "where" {
				return p.Value
			}
			if f := find(p.Value); f.node != nil {
				return f
			}
		}
	}
	if n.IsSeq() {
		for _, e := range n.Seq() {
			if f := find(e); f.node != nil {
				return f
			}
		}
	}
	return Node{}
}

// FuzzPlace points into every text of any file: places are within the file, or one past its end.
func FuzzPlace(f *testing.F) {
	f.Add([]byte("a: >-\n  b c\n  d\ne: \"x\\\"y\\\n  z\"\n"), 3)
	f.Add([]byte("a: |2\n    b\n   c\r\n- 'd''e'"), 9)
	f.Fuzz(func(t *testing.T, data []byte, offset int) {
		var l, own List
		for _, d := range Documents("f", data, &l) {
			scalars(d.Into(&own), offset)
		}
		for _, d := range own {
			if d.Line < 1 || d.Column < 1 {
				t.Errorf("%v", d)
			}
		}
	})
}

func scalars(n Node, offset int) {
	switch {
	case n.IsMap():
		m, _ := n.Map()
		for _, p := range m.Pairs() {
			scalars(p.Value, offset)
		}
	case n.IsSeq():
		for _, e := range n.Seq() {
			scalars(e, offset)
		}
	default:
		n.ErrorfAt(offset, "x")
	}
}
