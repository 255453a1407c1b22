// Package glob matches names against patterns in which * stands for any text and ? for any one byte. Topics, datasets and rules
// all write their patterns like this.
package glob

import "strings"

// Is says whether a text is a pattern, and not a plain name.
func Is(s string) bool { return strings.ContainsAny(s, "*?") }

// Match says whether a name fits a pattern, in time that grows with the product of their lengths at most.
func Match(pattern, name string) bool {
	star, from := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// Meet says whether some name fits both patterns.
func Meet(a, b string) bool {
	seen := make(map[[2]int]bool)
	var meet func(i, j int) bool
	meet = func(i, j int) bool {
		if seen[[2]int{i, j}] {
			return false
		}
		seen[[2]int{i, j}] = true
		switch {
		case i == len(a) && j == len(b):
			return true
		case i < len(a) && a[i] == '*':
			return meet(i+1, j) || j < len(b) && meet(i, j+1)
		case j < len(b) && b[j] == '*':
			return meet(i, j+1) || i < len(a) && meet(i+1, j)
		case i < len(a) && j < len(b) && (a[i] == b[j] || a[i] == '?' || b[j] == '?'):
			return meet(i+1, j+1)
		}
		return false
	}
	return meet(0, 0)
}
