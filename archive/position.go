package archive

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/klaxonhq/klaxon/event"
)

// position tells a document from the others of its key: topics made anew repeat offsets, with other record times.
type position struct {
	offset int64
	index  int32
	time   int64
}

func positionOf(id event.ID) position { return position{id.Offset, id.Index, id.Time} }

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.offset, q.offset), cmp.Compare(p.index, q.index), cmp.Compare(p.time, q.time))
}

func (p position) id(topic string, partition int32) event.ID {
	return event.ID{Topic: topic, Partition: partition, Offset: p.offset, Time: p.time, Index: p.index}
}

// parsePosition reads the text form of an id of a known partition. The partition must be known: topics may hold dashes and digits.
func parsePosition(text, topic string, partition int32) (position, bool) {
	rest, ok := strings.CutPrefix(text, topic+"-"+strconv.Itoa(int(partition))+"-")
	if !ok {
		return position{}, false
	}
	offset, rest, ok := strings.Cut(rest, "-")
	if !ok {
		return position{}, false
	}
	var p position
	var err error
	if p.offset, err = strconv.ParseInt(offset, 10, 64); err != nil {
		return position{}, false
	}
	millis, index := rest, ""
	if i := strings.LastIndexByte(rest, '-'); i > 0 { // at 0 it is the sign of a time before 1970
		millis, index = rest[:i], rest[i+1:]
	}
	if p.time, err = strconv.ParseInt(millis, 36, 64); err != nil {
		return position{}, false
	}
	if index != "" {
		n, err := strconv.ParseInt(index, 10, 32)
		if err != nil || n <= 0 {
			return position{}, false
		}
		p.index = int32(n)
	}
	return p, true
}
