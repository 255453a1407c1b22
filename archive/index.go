package archive

import (
	"math"
)

// Index is what is known of a segment without reading it. All times are Unix milliseconds.
type Index struct {
	Key    Key
	Count  int64 // documents
	Bytes  int64 // of the documents, with their line ends
	Size   int64 // of the segment
	Event  Range // event time
	Record Range // record time
	Blocks []Block

	positions []position // of every document, in the order of the segment; empty if they are not known
	filter    bloom
	// filtered says that filter holds what every document says, by the fields of this version.
	filtered bool
}

// Block is a part of a segment that can be decompressed by itself.
type Block struct {
	At, Size int64 // where its bytes are in the segment
	Bytes    int64 // decompressed
	Count    int64 // documents
	Sum      uint32
	Event    Range
	Record   Range
}

// Range is a range of time, Unix milliseconds, both ends included.
type Range struct{ From, To int64 }

func emptyRange() Range { return Range{math.MaxInt64, math.MinInt64} }

func (r *Range) add(ms int64) { r.From, r.To = min(r.From, ms), max(r.To, ms) }

func (r *Range) join(o Range) { r.From, r.To = min(r.From, o.From), max(r.To, o.To) }

// overlaps says whether an instant can lie in both.
func (r Range) overlaps(o Range) bool { return r.From <= o.To && o.From <= r.To }

func (r Range) contains(ms int64) bool { return r.From <= ms && ms <= r.To }

// FirstOffset is the offset of the segment's first document; ok is false where it is not known.
func (x *Index) FirstOffset() (offset int64, ok bool) {
	if len(x.positions) == 0 {
		return 0, false
	}
	return x.positions[0].offset, true
}

// LastOffset is the offset of the segment's last document; ok is false where it is not known.
func (x *Index) LastOffset() (offset int64, ok bool) {
	if len(x.positions) == 0 {
		return 0, false
	}
	return x.positions[len(x.positions)-1].offset, true
}
