package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/klaxonhq/klaxon/archive"
	"github.com/klaxonhq/klaxon/event"
)

// documentCount is what reading a whole archive found.
type documentCount struct {
	Documents int64 // that can be read
	Repeated  int64 // of them, those whose id was there before or is none
	Damages   []archive.Damage
}

// countDocuments reads every document of an archive.
func countDocuments(ctx context.Context, dir string) (documentCount, error) {
	var n documentCount
	r, err := archive.Open(dir)
	if err != nil {
		return n, fmt.Errorf("cannot read the archive back: %w", err)
	}
	seen := idSet{}
	report, err := r.Search(ctx, archive.Query{}, func(_ []byte, e *event.Event) error {
		n.Documents++
		if !seen.add(e.Text(event.EventID)) {
			n.Repeated++
		}
		return nil
	})
	if err != nil {
		return n, fmt.Errorf("cannot read the archive back: %w", err)
	}
	n.Damages = report.Damages
	return n, nil
}

// idSet is ids of events in a bit for each, by topic, partition and index within the record: a demo of a day has 170 million of them.
type idSet map[string][]uint64

// maxBits bounds what one absurd offset could take: 512 MiB.
const maxBits = 1 << 32

// add answers false for an id that is there already, and for what is none.
func (s idSet) add(id string) bool {
	parts := strings.Split(id, "-") // topics of a demo have no dashes
	if len(parts) < 4 || len(parts) > 5 {
		return false
	}
	offset, err := strconv.ParseUint(parts[2], 10, 64)
	if err != nil || offset >= maxBits {
		return false
	}
	key := parts[0] + "-" + parts[1]
	if len(parts) == 5 {
		key += "-" + parts[4]
	}
	bits, word, bit := s[key], int(offset/64), uint64(1)<<(offset%64)
	if word >= len(bits) {
		bits = append(bits, make([]uint64, max(word+1, 2*len(bits))-len(bits))...)
		s[key] = bits
	}
	if bits[word]&bit != 0 {
		return false
	}
	bits[word] |= bit
	return true
}
