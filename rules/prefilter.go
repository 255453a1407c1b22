package rules

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// prefilter rules out texts that a regular expression cannot match: every match holds one of its needles, and looking for those takes a
// fraction of the expression's time. It is immutable.
type prefilter struct {
	needles []string // in lower case where fold
	fold    bool
	// first and second are which needles, by their number modulo eight, have a byte as their first and second.
	first, second [256]uint8
}

// Bounds on needles: of shorter ones there are too many in any text, and longer lists cost more than they save.
const (
	minNeedle  = 2
	maxNeedles = 64
)

// newPrefilter makes a prefilter, or nil for an expression that has no needles.
func newPrefilter(tree *syntax.Regexp) *prefilter {
	fold := folds(tree)
	needles := requiredBy(tree, fold).any()
	if shortest(needles) < minNeedle {
		return nil
	}
	p := &prefilter{needles: needles, fold: fold}
	for i, s := range needles {
		bucket := uint8(1) << (i % 8)
		for at, table := range []*[256]uint8{&p.first, &p.second} {
			table[s[at]] |= bucket
			if fold && 'a' <= s[at] && s[at] <= 'z' {
				table[s[at]-'a'+'A'] |= bucket
			}
		}
	}
	return p
}

// excludes says that the expression does not match, for certain.
func (p *prefilter) excludes(text string) bool {
	for i := 0; i+1 < len(text); i++ {
		c := text[i]
		if p.fold && c >= utf8.RuneSelf {
			return false // the long s and the sign for kelvin fold to ASCII
		}
		if buckets := p.first[c] & p.second[text[i+1]]; buckets != 0 && p.at(text[i:], buckets) {
			return false
		}
	}
	return !p.fold || len(text) == 0 || text[len(text)-1] < utf8.RuneSelf
}

func (p *prefilter) at(text string, buckets uint8) bool {
	for i, s := range p.needles {
		if buckets>>(i%8)&1 != 0 && len(text) >= len(s) && p.equal(text[:len(s)], s) {
			return true
		}
	}
	return false
}

func (p *prefilter) equal(text, needle string) bool {
	if !p.fold {
		return text == needle
	}
	for i := range len(needle) {
		c := text[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != needle[i] {
			return false
		}
	}
	return true
}

// folds says whether any part of an expression disregards case.
func folds(tree *syntax.Regexp) bool {
	return tree.Flags&syntax.FoldCase != 0 || slices.ContainsFunc(tree.Sub, folds)
}

// required is what the matches of an expression hold.
type required struct {
	exact []string // a match is one of these; nil: it can be anything
	some  []string // it holds one of these; nil: nobody knows
}

// any is texts of which every match holds one, none within another.
func (r required) any() []string {
	best := r.some
	if exact := outermost(r.exact); shortest(exact) >= shortest(best) {
		best = exact
	}
	return best
}

func shortest(texts []string) int {
	n := 0
	for i, s := range texts {
		if i == 0 || len(s) < n {
			n = len(s)
		}
	}
	return n
}

// outermost leaves out texts that hold another: the other is found wherever they are.
func outermost(texts []string) []string {
	var out []string
	for i, s := range texts {
		if !slices.ContainsFunc(texts, func(o string) bool { return len(o) < len(s) && strings.Contains(s, o) }) && !slices.Contains(texts[:i], s) {
			out = append(out, s)
		}
	}
	return out
}

func requiredBy(re *syntax.Regexp, fold bool) required {
	switch re.Op {
	case syntax.OpLiteral:
		return required{exact: literalTexts(re.Rune, fold)}
	case syntax.OpCharClass:
		return required{exact: classTexts(re.Rune, fold)}
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return required{exact: []string{""}}
	case syntax.OpCapture:
		return requiredBy(re.Sub[0], fold)
	case syntax.OpPlus:
		return required{some: requiredBy(re.Sub[0], fold).any()}
	case syntax.OpQuest:
		if r := requiredBy(re.Sub[0], fold); r.exact != nil && len(r.exact) < maxNeedles {
			return required{exact: append(slices.Clone(r.exact), "")}
		}
	case syntax.OpRepeat:
		if re.Min > 0 {
			return required{some: requiredBy(re.Sub[0], fold).any()}
		}
	case syntax.OpConcat:
		return requiredByAll(re.Sub, fold)
	case syntax.OpAlternate:
		return requiredByOne(re.Sub, fold)
	}
	return required{}
}

// requiredByAll is of expressions one after the other: the best of what the runs of exact ones among them require.
func requiredByAll(subs []*syntax.Regexp, fold bool) required {
	run, whole := []string{""}, true
	var best required
	consider := func(r required) {
		if a := r.any(); shortest(a) > shortest(best.some) {
			best.some = a
		}
	}
	for _, sub := range subs {
		r := requiredBy(sub, fold)
		if r.exact != nil && len(run)*len(r.exact) <= maxNeedles {
			var next []string
			for _, a := range run {
				for _, b := range r.exact {
					next = append(next, a+b)
				}
			}
			run = next
			continue
		}
		whole = false
		consider(required{exact: run})
		consider(r)
		if run = []string{""}; r.exact != nil {
			run = r.exact
		}
	}
	if whole {
		return required{exact: run}
	}
	consider(required{exact: run})
	return best
}

// requiredByOne is of alternatives: what any of them requires.
func requiredByOne(subs []*syntax.Regexp, fold bool) required {
	var exact, some []string
	exactly, known := true, true
	for _, sub := range subs {
		r := requiredBy(sub, fold)
		exactly = exactly && r.exact != nil && len(exact)+len(r.exact) <= maxNeedles
		exact = append(exact, r.exact...)
		a := r.any()
		known = known && a != nil && len(some)+len(a) <= maxNeedles
		some = append(some, a...)
	}
	switch {
	case exactly:
		return required{exact: exact}
	case known:
		return required{some: outermost(some)}
	}
	return required{}
}

func literalTexts(runes []rune, fold bool) []string {
	s := string(runes)
	if slices.Contains(runes, utf8.RuneError) {
		return nil // it also matches bytes that are not UTF-8
	}
	if !fold {
		return []string{s}
	}
	if strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) >= 0 {
		return nil
	}
	return []string{strings.ToLower(s)}
}

// classTexts is the characters of a small class: pairs of bounds.
func classTexts(bounds []rune, fold bool) []string {
	const few = 6
	var out []string
	for i := 0; i+1 < len(bounds); i += 2 {
		for r := bounds[i]; r <= bounds[i+1]; r++ {
			if len(out) == few || r > unicode.MaxASCII {
				return nil
			}
			if s := string(r); !fold {
				out = append(out, s)
			} else if s = strings.ToLower(s); !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}
