package archive

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Key says which documents stand together in segments: what one partition gave to one dataset of one tenant in one hour of record time.
type Key struct {
	Tenant, Dataset string
	Hour            int64 // hours since 1970, UTC, of record time
	Topic           string
	Partition       int32
}

// HourOf is the hour that an instant lies in, for Key; the instant is in Unix milliseconds.
func HourOf(ms int64) int64 {
	h := ms / hourMillis
	if ms%hourMillis < 0 {
		h--
	}
	return h
}

const (
	hourMillis  = int64(time.Hour / time.Millisecond)
	dataSuffix  = ".ndjson.zst"
	indexSuffix = ".index"
	// undated is the day of records that claim a year before 1 or after 9999.
	undated       = "undated"
	offsetDigits  = 20
	maxValueBytes = 96 // of an escaped name; file systems stop at 255 for all parts of a file's name
)

// Days that a folder can be named after, as hours since 1970.
const (
	minHour = -17259888 // year 1
	maxHour = 70389527  // the end of year 9999
)

// escape makes a text fit for a name: what is not a letter of ASCII, a digit, or one of `_.-` is percent-escaped, and a long text is
// cut and told apart by a hash behind `~`.
func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() <= maxValueBytes; i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() <= maxValueBytes {
		return b.String()
	}
	h := sha256.Sum256([]byte(s))
	return b.String()[:maxValueBytes/2] + "~" + hex.EncodeToString(h[:16])
}

func tenantFolder(tenant string) string   { return "tenant=" + escape(tenant) }
func datasetFolder(dataset string) string { return "dataset=" + escape(dataset) }

// folder is where the key's segments are.
func (k Key) folder() string {
	day, hour := undated, "00"
	if k.Hour >= minHour && k.Hour <= maxHour {
		t := time.UnixMilli(k.Hour * hourMillis).UTC()
		day, hour = t.Format(time.DateOnly), t.Format("15")
	}
	return tenantFolder(k.Tenant) + "/" + datasetFolder(k.Dataset) + "/dt=" + day + "/hour=" + hour
}

// prefix is how the names of the key's segments begin, within the folder.
func (k Key) prefix() string { return escape(k.Topic) + "-" + strconv.Itoa(int(k.Partition)) + "-" }

// base is the name, without a suffix, of a segment that begins with a position; further tells those apart that begin with the same
// offset: topics of the same name that were made anew.
func (k Key) base(first position, further int) string {
	name := fmt.Sprintf("%s/%s%0*d", k.folder(), k.prefix(), offsetDigits, first.offset)
	if further == 0 {
		return name
	}
	name += "." + strconv.FormatInt(first.time, 36) + "." + strconv.Itoa(int(first.index))
	if further > 1 {
		name += "." + strconv.Itoa(further)
	}
	return name
}

// firstOffset reads the offset out of a segment's name within its folder, which begins with a key's prefix. Another key's name can begin
// so too, and is told apart by the length of its offset.
func firstOffset(name, prefix string) (int64, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok || len(rest) < offsetDigits+len(dataSuffix) || rest[offsetDigits] != '.' {
		return 0, false
	}
	n, err := strconv.ParseUint(rest[:offsetDigits], 10, 63)
	return int64(n), err == nil
}

// hourOfFolder is the hour that the names of two folders, dt=… and hour=…, stand for.
func hourOfFolder(day, hour string) (int64, bool) {
	d, okDay := strings.CutPrefix(day, "dt=")
	h, okHour := strings.CutPrefix(hour, "hour=")
	t, err := time.Parse(time.DateOnly+"T15", d+"T"+h)
	return HourOf(t.UnixMilli()), okDay && okHour && err == nil
}

// CompareKeys orders keys as their segments are listed.
func CompareKeys(a, b Key) int {
	return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Dataset, b.Dataset), cmp.Compare(a.Hour, b.Hour),
		strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}
