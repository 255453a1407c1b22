package enrich

import (
	"math"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"
)

// Place is where an address is; what is not known of it is "".
type Place struct {
	Country     string // ISO 3166-1 alpha-2
	CountryName string // in English, as all names
	Continent   string // two letters
	Region      string // ISO 3166-2, of the widest subdivision, such as UA-43
	RegionName  string
	City        string
	TimeZone    string // IANA
	// Latitude and Longitude are in degrees, where Located.
	Latitude, Longitude float64
	Located             bool
}

// System is an autonomous system: who announces an address.
type System struct {
	Number       uint32
	Organization string
}

// Network says what kind of network an address belongs to, as a set of bits; see Names.
type Network uint8

// The kinds of networks.
const (
	Anonymous Network = 1 << iota
	AnonymousVPN
	HostingProvider
	PublicProxy
	ResidentialProxy
	TorExitNode
	networks = iota
)

// Names calls f with the name of every kind in the set.
func (n Network) Names(f func(string)) {
	for i, name := range [networks]string{"anonymous", "anonymous_vpn", "hosting_provider", "public_proxy", "residential_proxy", "tor_exit_node"} {
		if n&(1<<i) != 0 {
			f(name)
		}
	}
}

// kindOf is the kind of network that a field of MaxMind's databases says, or 0.
func kindOf(field string) Network {
	switch field {
	case "is_anonymous":
		return Anonymous
	case "is_anonymous_vpn":
		return AnonymousVPN
	case "is_hosting_provider":
		return HostingProvider
	case "is_public_proxy":
		return PublicProxy
	case "is_residential_proxy":
		return ResidentialProxy
	case "is_tor_exit_node":
		return TorExitNode
	}
	return 0
}

// Bounds on a record, so that a file that is no database of addresses costs little.
const (
	maxMembers = 256
	maxText    = 1024 // bytes of a name
)

// decoder reads the records of one database: as MaxMind and DB-IP nest them, and flat, as IPinfo and ip-location-db write them. The
// parts of records that a database keeps once, countries and cities, are read once.
type decoder struct {
	place   Place
	system  System
	network Network

	region string // the subdivision's own code
	angles int    // two make a location
	named  map[uint]named
}

// named is a part of a record that has a code and a name.
type named struct{ code, name string }

// UnmarshalMaxMindDBCursor reads one record.
func (d *decoder) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	d.place, d.system, d.network, d.region, d.angles = Place{}, System{}, 0, "", 0
	end, err := members(c, d.member)
	p := &d.place
	if !isCountry(p.Country) {
		p.Country = ""
	}
	if d.region != "" && p.Country != "" {
		p.Region = p.Country + "-" + d.region
	}
	if p.Located = d.angles == 2; !p.Located {
		p.Latitude, p.Longitude = 0, 0
	}
	return end, err
}

// has is what the last record could be asked for.
func (d *decoder) has() Sources {
	var out Sources
	p := &d.place
	if p.City != "" || p.RegionName != "" || p.Region != "" || p.Located {
		out |= City.source()
	}
	if p.Country != "" {
		out |= Country.source()
	}
	if d.system != (System{}) {
		out |= ASN.source()
	}
	if d.network != 0 {
		out |= Anonymity.source()
	}
	return out
}

// keep leaves of the last record what a kind of database is asked for.
func (d *decoder) keep(kind Kind) {
	p := &d.place
	switch kind {
	case City:
		d.system, d.network = System{}, 0
	case Country:
		*p = Place{Country: p.Country, CountryName: p.CountryName, Continent: p.Continent}
		d.system, d.network = System{}, 0
	case ASN:
		d.place, d.network = Place{}, 0
	case Anonymity:
		d.place, d.system = Place{}, System{}
	}
}

// isCountry says whether a code is of ISO 3166-1 alpha-2, and not the one for no country.
func isCountry(code string) bool {
	return len(code) == 2 && code[0] >= 'A' && code[0] <= 'Z' && code[1] >= 'A' && code[1] <= 'Z' && code != "ZZ"
}

// members calls f with every member of a map; f answers where the member ends.
func members(c mmdbdata.Cursor, f func(key []byte, value mmdbdata.Cursor) (mmdbdata.Cursor, error)) (mmdbdata.Cursor, error) {
	m, err := c.Map()
	if err != nil {
		return c, err
	}
	if m.Size() > maxMembers {
		return c, mmdbdata.NewInvalidDatabaseError("a record has %d members", m.Size())
	}
	var at mmdbdata.Cursor
	for {
		key, value, ok := m.Next(at)
		if !ok {
			return m.End()
		}
		if at, err = f(key, value); err != nil {
			return c, err
		}
	}
}

// member reads one member of a record. The same field has other names, and other forms, with other makers.
func (d *decoder) member(key []byte, v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	p := &d.place
	switch string(key) {
	case "country":
		return d.country(v)
	case "country_code":
		return text(v, &p.Country)
	case "country_name":
		return text(v, &p.CountryName)
	case "continent":
		return d.codeAndName(v, &p.Continent, nil)
	case "continent_code":
		return text(v, &p.Continent)
	case "subdivisions":
		return d.subdivisions(v)
	case "region", "state1":
		return text(v, &p.RegionName)
	case "city":
		return d.codeAndName(v, nil, &p.City)
	case "location", "traits":
		return members(v, d.detail)
	}
	return d.detail(key, v)
}

// detail reads a member of a record, or of a map in it.
func (d *decoder) detail(key []byte, v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	switch string(key) {
	case "time_zone", "timezone":
		return text(v, &d.place.TimeZone)
	case "latitude", "lat":
		return d.degrees(v, 90, &d.place.Latitude)
	case "longitude", "lng":
		return d.degrees(v, 180, &d.place.Longitude)
	case "autonomous_system_number", "asn":
		return d.number(v)
	case "autonomous_system_organization", "as_name":
		return text(v, &d.system.Organization)
	}
	if kind := kindOf(string(key)); kind != 0 {
		return d.flag(v, kind)
	}
	return v.Skip()
}

// country is a map with code and names, or as IPinfo writes it a text, which is a code or a name.
func (d *decoder) country(v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	p := &d.place
	if kind, err := v.Kind(); err != nil || kind != mmdbdata.KindString {
		return d.codeAndName(v, &p.Country, &p.CountryName)
	}
	var s string
	next, err := text(v, &s)
	if len(s) == 2 {
		p.Country = s
	} else {
		p.CountryName = s
	}
	return next, err
}

// codeAndName reads a map that has a code and names, or a plain text, which is the name where one is wanted. Databases point to such
// maps from many records: each is read once.
func (d *decoder) codeAndName(v mmdbdata.Cursor, code, name *string) (mmdbdata.Cursor, error) {
	if kind, err := v.Kind(); err != nil || kind == mmdbdata.KindString {
		if name == nil || err != nil {
			return v.Skip()
		}
		return text(v, name)
	}
	at, err := v.Offset()
	if err != nil {
		return v, err
	}
	n, known := d.named[at]
	if !known {
		if _, err := members(v, n.member); err != nil {
			return v, err
		}
		d.named[at] = n
	}
	if code != nil {
		*code = n.code
	}
	if name != nil {
		*name = n.name
	}
	return v.Skip()
}

func (n *named) member(key []byte, v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	switch string(key) {
	case "iso_code", "code":
		return text(v, &n.code)
	case "names":
		return members(v, n.names)
	}
	return v.Skip()
}

func (n *named) names(key []byte, v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	if string(key) == "en" {
		return text(v, &n.name)
	}
	return v.Skip()
}

// subdivisions takes the first, which is the widest.
func (d *decoder) subdivisions(v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	s, err := v.Slice()
	if err != nil {
		return v, err
	}
	var at mmdbdata.Cursor
	for {
		i, value, ok := s.Next(at)
		if !ok {
			return s.End()
		}
		if i == 0 {
			at, err = d.codeAndName(value, &d.region, &d.place.RegionName)
		} else {
			at, err = value.Skip()
		}
		if err != nil {
			return v, err
		}
	}
}

func text(v mmdbdata.Cursor, to *string) (mmdbdata.Cursor, error) {
	s, next, err := v.ReadStringMaxSize(maxText)
	if err != nil {
		return v, err
	}
	*to = s
	return next, nil
}

// degrees reads a number, or as some makers write it its text. What is no angle leaves the address without a location.
func (d *decoder) degrees(v mmdbdata.Cursor, limit float64, to *float64) (mmdbdata.Cursor, error) {
	kind, err := v.Kind()
	if err != nil {
		return v, err
	}
	var x float64
	var next mmdbdata.Cursor
	if kind == mmdbdata.KindString {
		var s string
		if next, err = text(v, &s); err != nil {
			return v, err
		}
		if x, err = strconv.ParseFloat(s, 64); err != nil {
			return next, nil
		}
	} else if x, next, err = v.ReadFloat(); err != nil {
		return v, err
	}
	if x >= -limit && x <= limit {
		*to = math.Round(x*perDegree) / perDegree
		d.angles++
	}
	return next, nil
}

// perDegree keeps four digits of a degree, eleven metres: no database knows more.
const perDegree = 1e4

// number reads the number of an autonomous system, also as AS15169.
func (d *decoder) number(v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	kind, err := v.Kind()
	if err != nil {
		return v, err
	}
	if kind != mmdbdata.KindString {
		n, next, err := v.ReadUint()
		if n <= math.MaxUint32 {
			d.system.Number = uint32(n)
		}
		return next, err
	}
	var s string
	next, err := text(v, &s)
	if n, bad := strconv.ParseUint(strings.TrimPrefix(s, "AS"), 10, 32); bad == nil {
		d.system.Number = uint32(n)
	}
	return next, err
}

func (d *decoder) flag(v mmdbdata.Cursor, kind Network) (mmdbdata.Cursor, error) {
	set, next, err := v.ReadBool()
	if set {
		d.network |= kind
	}
	return next, err
}
