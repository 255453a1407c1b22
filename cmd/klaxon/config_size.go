package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"

	"github.com/klaxonhq/klaxon/internal/diag"
)

var sizePattern = regexp.MustCompile(`^(\d{1,18}) ?(B|KiB|MiB|GiB|TiB)?$`)

// sizeUnits is how many bits a unit shifts a number by.
func sizeUnits(unit string) int {
	return map[string]int{"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[unit]
}

// parseSize reads a number of bytes: 1048576, or 1MiB.
func parseSize(s string) (int64, bool) {
	m := sizePattern.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if shift := sizeUnits(m[2]); err == nil && n <= math.MaxInt64>>shift {
		return n << shift, true
	}
	return 0, false
}

// size reads a number of bytes between lo and hi into to, which keeps what it is where there is none.
func (r configReader) size(n diag.Node, to *int, lo, hi int64) {
	if !n.Exists() {
		return
	}
	s := n.Raw()
	v, ok := parseSize(s)
	switch {
	case !n.IsScalar() || !ok:
		n.Errorf("must be a number of bytes").Hint("write it as 67108864 or 64MiB (KiB, MiB, GiB, TiB)")
	case v < lo || v > hi:
		n.Errorf("must be between %s and %s, not %s", byteText(lo), byteText(hi), s)
	default:
		*to = int(v)
	}
}

// byteText is a number of bytes for people.
func byteText(n int64) string {
	for _, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if one := int64(1) << sizeUnits(unit); n >= one {
			if n%one == 0 {
				return fmt.Sprintf("%d %s", n/one, unit)
			}
			return fmt.Sprintf("%.1f %s", float64(n)/float64(one), unit)
		}
	}
	return fmt.Sprintf("%d B", n)
}
