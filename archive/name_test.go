package archive

import (
	"io/fs"
	"math"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"pgregory.net/rapid"
)

func TestNames(t *testing.T) {
	at := HourOf(time.Date(2026, 11, 24, 9, 59, 59, 0, time.UTC).UnixMilli())
	tests := []struct {
		key  Key
		want string
	}{
		{Key{"acme", "nginx.access", at, "logs.web-1", 12}, "tenant=acme/dataset=nginx.access/dt=2026-11-24/hour=09/logs.web-1-12-00000000000000000007"},
		{Key{"", "", at, "t", 0}, "tenant=/dataset=/dt=2026-11-24/hour=09/t-0-00000000000000000007"},
		{Key{"../../etc", `a/b\c`, 0, "..", 0}, "tenant=..%2F..%2Fetc/dataset=a%2Fb%5Cc/dt=1970-01-01/hour=00/..-0-00000000000000000007"},
		{Key{"ü=%", "~", -1, "t", 0}, "tenant=%C3%BC%3D%25/dataset=%7E/dt=1969-12-31/hour=23/t-0-00000000000000000007"},
		{Key{"a", "b", math.MaxInt64 / hourMillis, "t", 0}, "tenant=a/dataset=b/dt=undated/hour=00/t-0-00000000000000000007"},
	}
	for _, tt := range tests {
		if got := tt.key.base(position{offset: 7}, 0); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.key, got, tt.want)
		}
	}
}

// Whatever tenants, datasets and topics are called, names stay within the archive, within what file systems take, and tell them apart.
func TestNamesProperty(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-c./%~=-]{0,8}`), rapid.StringMatching(`x{200,240}[ab]`))
	rapid.Check(t, func(r *rapid.T) {
		key := Key{text.Draw(r, "tenant"), text.Draw(r, "dataset"), HourOf(rapid.Int64().Draw(r, "ms")), text.Draw(r, "topic"), int32(rapid.IntRange(0, 1<<30).Draw(r, "partition"))}
		first := position{offset: rapid.Int64Min(0).Draw(r, "offset"), index: int32(rapid.IntRange(0, 9).Draw(r, "index")), time: rapid.Int64().Draw(r, "time")}
		further := rapid.IntRange(0, 3).Draw(r, "further")
		name := key.base(first, further) + dataSuffix
		if !fs.ValidPath(name) || strings.Count(name, "/") != 4 || strings.Contains(name, `\`) {
			r.Fatalf("%q is no name", name)
		}
		for _, part := range strings.Split(name, "/") {
			if len(part) > 255 || part == ".." || strings.HasPrefix(part, tempFolder) && part == tempFolder {
				r.Errorf("%q has the part %q", name, part)
			}
		}
		if n, ok := firstOffset(path.Base(name), key.prefix()); !ok || n != first.offset {
			r.Errorf("the first offset of %q is %d, %t", name, n, ok)
		}
		got := keyOf(name)
		if len(escape(key.Topic)) <= maxValueBytes && !strings.Contains(escape(key.Topic), "~") && (got.Topic != key.Topic || got.Partition != key.Partition) {
			r.Errorf("%q is read as topic %q, partition %d", name, got.Topic, got.Partition)
		}
		if len(escape(key.Tenant)) <= maxValueBytes && !strings.Contains(escape(key.Tenant), "~") && got.Tenant != key.Tenant {
			r.Errorf("%q is read as tenant %q", name, got.Tenant)
		}
		other := text.Draw(r, "other")
		if (escape(other) == escape(key.Tenant)) != (other == key.Tenant) {
			r.Errorf("%q and %q are both %q", other, key.Tenant, escape(other))
		}
	})
}

// A topic whose name ends as a partition's would is told apart.
func TestFirstOffsetOfAnotherTopic(t *testing.T) {
	a, b := Key{Topic: "logs", Partition: 1}, Key{Topic: "logs-1", Partition: 2}
	name := path.Base(b.base(position{offset: 5}, 0) + dataSuffix)
	if n, ok := firstOffset(name, a.prefix()); ok {
		t.Errorf("%s is taken for offset %d of logs-1", name, n)
	}
}

func TestParsePosition(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		id := event.ID{Topic: rapid.StringMatching(`[a-z0-9.-]{1,10}`).Draw(r, "topic"), Partition: int32(rapid.IntRange(0, 99).Draw(r, "partition")),
			Offset: rapid.Int64Min(0).Draw(r, "offset"), Time: rapid.Int64().Draw(r, "time"), Index: int32(rapid.IntRange(0, math.MaxInt32).Draw(r, "index"))}
		if p, ok := parsePosition(id.String(), id.Topic, id.Partition); !ok || p.id(id.Topic, id.Partition) != id {
			r.Errorf("%s is read as %+v, %t", id, p, ok)
		}
	})
	for _, text := range []string{"", "t", "t-0", "t-0-", "t-0-1", "t-0-1-", "t-0-x-y", "t-1-1-a", "u-0-1-a", "t-0-1-a-0", "t-0-1-a-x", "t-0-1-a-99999999999"} {
		if p, ok := parsePosition(text, "t", 0); ok {
			t.Errorf("%q is read as %+v", text, p)
		}
	}
}
