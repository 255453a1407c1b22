package kafka

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/internal/glob"
)

// internalPrefix begins the names of Kafka's own topics and, by convention, of other systems' state.
const internalPrefix = "__"

// Selection says which topics are read: those that are named, and those that fit a pattern. It is immutable; the zero value selects
// nothing.
type Selection struct {
	names    []string // sorted, each once
	patterns []string
	except   []string
}

// Select selects topics by name, and by pattern where * stands for any text and ? for one character. A named topic is waited for
// until it exists. A pattern never selects an internal topic.
func Select(topics ...string) Selection {
	var s Selection
	for _, t := range topics {
		if glob.Is(t) {
			s.patterns = append(s.patterns, t)
		} else {
			s.names = append(s.names, t)
		}
	}
	slices.Sort(s.names)
	s.names = slices.Compact(s.names)
	return s
}

// Except is the same selection, but for what fits one of the names and patterns given here: no pattern selects it. A topic that is
// selected by its name stays selected.
func (s Selection) Except(patterns ...string) Selection {
	s.except = slices.Concat(s.except, patterns)
	return s
}

// Has says whether a topic of that name is selected.
func (s Selection) Has(name string) bool {
	return s.Named(name) || !strings.HasPrefix(name, internalPrefix) && fits(s.patterns, name) && !fits(s.except, name)
}

// String is what was selected, as it was written.
func (s Selection) String() string { return strings.Join(slices.Concat(s.names, s.patterns), ", ") }

func (s Selection) empty() bool { return len(s.names)+len(s.patterns) == 0 }

// Named says whether a topic is selected by its name, and therefore waited for while it does not exist.
func (s Selection) Named(name string) bool {
	_, ok := slices.BinarySearch(s.names, name)
	return ok
}

func fits(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return glob.Match(p, name) })
}

// NothingFitsError says that no topic fits the patterns of a selection, or that this user may see none.
type NothingFitsError struct{ Patterns []string }

// Error names the patterns.
func (e *NothingFitsError) Error() string {
	return fmt.Sprintf("no topic fits %s", strings.Join(e.Patterns, ", "))
}
