package ingest

import (
	"strconv"
	"unsafe"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/enrich"
)

// locate adds what is known of the event's addresses, and which databases knew it.
func (n *Normalizer) locate(e *event.Event) {
	var from enrich.Sources
	for i := range n.f.ends {
		end := &n.f.ends[i]
		v := e.First(end.ip)
		if v == nil || v.Kind() != event.Addr {
			continue
		}
		info := n.known.Lookup(v.Addr())
		end.locate(e, info)
		from |= info.From
	}
	if from == 0 {
		return
	}
	e.Clear(n.f.databases)
	n.named.Named(from, func(version string) { e.Add(n.f.databases, version) })
}

// locate adds what is known of one address. What the event itself says of where it is, or whose network it is of, is left alone as a
// whole: halves of two answers would be no answer.
func (f *end) locate(e *event.Event, info *enrich.Info) {
	if !e.Has(f.country) {
		add(e, f.country, info.Country)
		f.place(e, info.Place)
	}
	if s := info.System; s != nil && !e.Has(f.system) {
		if s.Number != 0 {
			e.AddInt(f.system, int64(s.Number))
		}
		add(e, f.organization, s.Organization)
	}
	if info.Network != 0 {
		info.Network.Names(func(name string) { e.Add(f.network, name) })
	}
}

func (f *end) place(e *event.Event, p *enrich.Place) {
	if p == nil {
		return
	}
	add(e, f.countryName, p.CountryName)
	add(e, f.continent, p.Continent)
	add(e, f.region, p.Region)
	add(e, f.regionName, p.RegionName)
	add(e, f.city, p.City)
	add(e, f.timeZone, p.TimeZone)
	if p.Located && !e.Has(f.location) {
		arena := e.Scratch(longestLocation)
		start := len(arena)
		text := e.Kept(appendLocation(arena, p), start)
		e.AddRaw(f.location, unsafe.Slice(unsafe.StringData(text), len(text)))
	}
}

// longestLocation is how many bytes the JSON of a location has at most: a sign and eight characters a number.
const longestLocation = 48

func appendLocation(dst []byte, p *enrich.Place) []byte {
	dst = strconv.AppendFloat(append(dst, `{"lat":`...), p.Latitude, 'f', -1, 64)
	dst = strconv.AppendFloat(append(dst, `,"lon":`...), p.Longitude, 'f', -1, 64)
	return append(dst, '}')
}

func add(e *event.Event, f event.FieldID, text string) {
	if text != "" && !e.Has(f) {
		e.Add(f, text)
	}
}
