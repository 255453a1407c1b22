package enrich

import (
	"errors"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/internal/mmdbtest"
	"github.com/oschwald/geoip2-golang/v2"
	"github.com/oschwald/maxminddb-golang/v2"
)

func built(t testing.TB) map[string][]byte {
	t.Helper()
	all, err := mmdbtest.Databases()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// opened is the databases of every kind that mmdbtest makes.
func opened(t testing.TB, kinds ...Kind) *Databases {
	t.Helper()
	var all []*Database
	for _, kind := range kinds {
		d, err := New(kind, built(t)[string(kind)+".mmdb"])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return NewDatabases(all...)
}

func TestWhatDatabasesSay(t *testing.T) {
	paris := Place{"FR", "France", "EU", "FR-IDF", "Île-de-France", "Paris", "Europe/Paris", 48.8566, 2.3522, true}
	crimea := Place{"UA", "Ukraine", "EU", "UA-43", "Crimea", "Simferopol", "Europe/Simferopol", 44.957, 34.1108, true}
	sf := Place{"US", "United States", "NA", "US-CA", "California", "San Francisco", "America/Los_Angeles", 37.7749, -122.4194, true}
	c := NewCache(Embedded{}, opened(t, Kinds()...))
	for addr, want := range map[string]struct {
		place  *Place
		number uint32
		names  string
	}{
		"198.51.100.1": {&paris, 64501, ""}, "198.51.100.7": {&paris, 64501, "anonymous tor_exit_node"}, "198.51.100.200": {&paris, 64501, "anonymous anonymous_vpn hosting_provider"},
		"203.0.113.9": {&crimea, 64500, ""}, "::ffff:203.0.113.9": {&crimea, 64500, ""}, "64:ff9b::cb00:7109": {&crimea, 64500, ""}, "2002:cb00:7109::1": {&crimea, 64500, ""},
		"2001:db8:1::7": {&sf, 4200000001, ""},
		"192.0.2.200":   {&Place{"IR", "Iran", "AS", "", "", "", "Asia/Tehran", 35.6892, 51.389, true}, 0, ""},
		"8.8.8.8":       {}, "10.0.0.1": {}, "2001:db8:2::1": {}, "::": {},
	} {
		for range 2 {
			got := c.Lookup(netip.MustParseAddr(addr))
			var names []string
			got.Network.Names(func(s string) { names = append(names, s) })
			if (got.Place == nil) != (want.place == nil) || got.Place != nil && (*got.Place != *want.place || got.Country != want.place.Country) || got.Place == nil && got.Country != "" {
				t.Errorf("%s: %+v, want %+v", addr, got.Place, want.place)
			}
			if (got.System == nil) != (want.number == 0) || got.System != nil && (got.System.Number != want.number || got.System.Organization == "") || strings.Join(names, " ") != want.names {
				t.Errorf("%s: %+v %q, want %+v", addr, got.System, names, want)
			}
		}
	}
	if got := c.Lookup(netip.Addr{}); *got != (Info{}) {
		t.Errorf("no address is %+v", got)
	}
}

// TestWhichDatabaseIsAsked: that of cities first, then that of countries; the built-in table only where there is neither.
func TestWhichDatabaseIsAsked(t *testing.T) {
	build := func(kind Kind, networks map[string]mmdbtest.Record) *Database {
		data, err := mmdbtest.Build("Own", networks)
		if err != nil {
			t.Fatal(err)
		}
		d, err := New(kind, data)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	record := func(country, city string) mmdbtest.Record {
		return mmdbtest.CityRecord(mmdbtest.Place{Country: country, City: city})
	}
	cities := build(City, map[string]mmdbtest.Record{"203.0.113.0/24": record("UA", "Simferopol")})
	countries := build(Country, map[string]mmdbtest.Record{"203.0.113.0/24": record("RU", ""), "8.8.8.0/24": record("CA", "")})
	asn := build(ASN, map[string]mmdbtest.Record{"9.9.9.0/24": {"autonomous_system_number": 1}})
	for name, c := range map[string]struct {
		databases *Databases
		addr      string
		country   string
		from      string
	}{
		"cities first":               {NewDatabases(countries, cities), "203.0.113.9", "UA", "Own 2026-11-20 of city"},
		"countries, where unknown":   {NewDatabases(countries, cities), "8.8.8.8", "CA", "Own 2026-11-20 of country"},
		"neither knows":              {NewDatabases(countries, cities), "5.160.0.1", "", ""},
		"countries alone":            {NewDatabases(countries), "203.0.113.9", "RU", "Own 2026-11-20 of country"},
		"nothing about countries":    {NewDatabases(asn), "9.9.9.9", "US", "Own 2026-11-20 of asn"},
		"no database":                {nil, "5.160.0.1", "IR", ""},
		"of two cities the latter":   {NewDatabases(build(City, map[string]mmdbtest.Record{"8.8.8.0/24": record("MX", "x")}), cities), "8.8.8.8", "", ""},
		"cities, and nobody's place": {NewDatabases(cities), "8.8.8.8", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := NewCache(Embedded{}, c.databases).Lookup(netip.MustParseAddr(c.addr))
			var from []string
			for _, kind := range Kinds() {
				if got.From&kind.source() != 0 {
					c.databases.Named(kind.source(), func(s string) { from = append(from, s+" of "+string(kind)) })
				}
			}
			if got.Country != c.country || strings.Join(from, ", ") != c.from {
				t.Errorf("%q from %q, want %q from %q", got.Country, from, c.country, c.from)
			}
		})
	}
}

// TestOtherMakers: the free databases of others, with the members that they write.
func TestOtherMakers(t *testing.T) {
	for name, c := range map[string]struct {
		kind   Kind
		record mmdbtest.Record
		place  Place
		system System
	}{
		"ipinfo_lite, country": {Country, mmdbtest.Record{"asn": "AS15169", "as_name": "Google LLC", "as_domain": "google.com", "country": "United States", "country_code": "US", "continent": "North America", "continent_code": "NA"},
			Place{Country: "US", CountryName: "United States", Continent: "NA"}, System{}},
		"ipinfo_lite, asn":      {ASN, mmdbtest.Record{"asn": "AS15169", "as_name": "Google LLC", "country_code": "US"}, Place{}, System{15169, "Google LLC"}},
		"ipinfo country":        {Country, mmdbtest.Record{"country": "FR", "country_name": "France", "continent": "EU"}, Place{Country: "FR", CountryName: "France"}, System{}},
		"ipinfo location":       {City, mmdbtest.Record{"city": "Paris", "region": "Île-de-France", "country": "FR", "lat": "48.85341", "lng": "2.3488", "timezone": "Europe/Paris"}, Place{Country: "FR", RegionName: "Île-de-France", City: "Paris", TimeZone: "Europe/Paris", Latitude: 48.8534, Longitude: 2.3488, Located: true}, System{}},
		"ip-location-db":        {City, mmdbtest.Record{"city": "Paris", "state1": "Île-de-France", "state2": "Paris", "country_code": "FR", "latitude": 48.85341, "longitude": 2.3488, "postcode": "75001", "timezone": "Europe/Paris"}, Place{Country: "FR", RegionName: "Île-de-France", City: "Paris", TimeZone: "Europe/Paris", Latitude: 48.8534, Longitude: 2.3488, Located: true}, System{}},
		"ip-location-db, short": {Country, mmdbtest.Record{"country_code": "FR"}, Place{Country: "FR"}, System{}},
		"DB-IP Lite":            {City, mmdbtest.Record{"city": mmdbtest.Record{"names": mmdbtest.Record{"en": "Paris"}}, "country": mmdbtest.Record{"iso_code": "FR", "names": mmdbtest.Record{"en": "France"}}, "continent": mmdbtest.Record{"code": "EU"}, "subdivisions": []any{mmdbtest.Record{"names": mmdbtest.Record{"en": "Île-de-France"}}}, "location": mmdbtest.Record{"latitude": 48.5, "longitude": 2.5}}, Place{Country: "FR", CountryName: "France", Continent: "EU", RegionName: "Île-de-France", City: "Paris", Latitude: 48.5, Longitude: 2.5, Located: true}, System{}},
		"Enterprise":            {ASN, mmdbtest.Record{"country": mmdbtest.Record{"iso_code": "FR"}, "traits": mmdbtest.Record{"autonomous_system_number": 64501, "autonomous_system_organization": "x", "isp": "y"}}, Place{}, System{64501, "x"}},
		"odd values":            {City, mmdbtest.Record{"city": "x", "country_code": "ZZ", "latitude": 91.0, "longitude": 5.0, "asn": "none", "lng": "far"}, Place{City: "x"}, System{}},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := mmdbtest.Build("Own-ipvAll", map[string]mmdbtest.Record{"203.0.113.0/24": c.record})
			if err != nil {
				t.Fatal(err)
			}
			d, err := New(c.kind, data)
			if err != nil {
				t.Fatal(err)
			}
			got := d.find(netip.MustParseAddr("203.0.113.9"))
			if got.Place != nil && *got.Place != c.place || got.Place == nil && c.place != (Place{}) || got.System != nil && *got.System != c.system || got.System == nil && c.system != (System{}) {
				t.Errorf("%+v %+v, want %+v %+v", got.Place, got.System, c.place, c.system)
			}
		})
	}
}

// TestLikeGeoip2 holds every network against what MaxMind's own schema makes of it. KLAXON_GEOIP_CITY names a real database to compare too.
func TestLikeGeoip2(t *testing.T) {
	files := map[string][]byte{"made": built(t)["city.mmdb"]}
	if path := os.Getenv("KLAXON_GEOIP_CITY"); path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = data
	}
	for name, data := range files {
		own, err := New(City, data)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := geoip2.OpenBytes(data)
		if err != nil {
			t.Fatal(err)
		}
		compared := 0
		for r := range own.reader.Networks() {
			if compared++; compared > 200_000 {
				break
			}
			sameAsGeoip2(t, theirs, own.find(r.Prefix().Addr()), r)
		}
		if t.Failed() || compared == 0 {
			t.Fatalf("%s: %d networks", name, compared)
		}
	}
}

func sameAsGeoip2(t *testing.T, theirs *geoip2.Reader, got *Info, r maxminddb.Result) {
	city, err := theirs.City(r.Prefix().Addr())
	if err != nil {
		t.Fatal(err)
	}
	want := Place{Country: city.Country.ISOCode, CountryName: city.Country.Names.English, Continent: city.Continent.Code, City: city.City.Names.English, TimeZone: city.Location.TimeZone}
	if len(city.Subdivisions) > 0 {
		want.RegionName = city.Subdivisions[0].Names.English
		if code := city.Subdivisions[0].ISOCode; code != "" {
			want.Region = want.Country + "-" + code
		}
	}
	if city.Location.HasCoordinates() {
		want.Located, want.Latitude, want.Longitude = true, math.Round(*city.Location.Latitude*perDegree)/perDegree, math.Round(*city.Location.Longitude*perDegree)/perDegree
	}
	if got.Place == nil && want != (Place{}) || got.Place != nil && *got.Place != want {
		t.Errorf("%s: %+v, want %+v", r.Prefix(), got.Place, want)
	}
}

func TestWrongDatabasesAreRefused(t *testing.T) {
	all := built(t)
	empty, err := mmdbtest.Build("Own", nil)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := mmdbtest.Build("GeoIP2-Domain", map[string]mmdbtest.Record{"203.0.113.0/24": {"domain": "example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	city := all["city.mmdb"]
	for name, c := range map[string]struct {
		kind Kind
		data []byte
		want string
	}{
		"a country's for cities":   {City, all["country.mmdb"], `it is a database "GeoLite2-Country", which says nothing of cities, regions or locations`},
		"systems for countries":    {Country, all["asn.mmdb"], "which says nothing of countries"},
		"cities for systems":       {ASN, city, `"GeoLite2-City", which says nothing of autonomous systems`},
		"cities for anonymity":     {Anonymity, city, "which says nothing of anonymous networks"},
		"another one altogether":   {Country, bare, `"GeoIP2-Domain", which says nothing of countries`},
		"an empty one":             {City, empty, "Own holds no networks"},
		"an empty file":            {City, nil, "it is no MaxMind database, or was cut off"},
		"text":                     {City, []byte("not a database"), "it is no MaxMind database, or was cut off"},
		"cut off in the middle":    {City, city[:len(city)/2], "it is no MaxMind database, or was cut off"},
		"its end is missing":       {City, city[:len(city)-20], "it is no MaxMind database, or was cut off"},
		"its beginning is missing": {City, city[len(city)/2:], "it is "},
		"zeros in the middle":      {City, slices.Concat(city[:len(city)/3], make([]byte, len(city)/3), city[2*(len(city)/3):]), "it is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.kind, slices.Clone(c.data))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	var wrong *WrongKindError
	if _, err := New(ASN, city); !errors.As(err, &wrong) || wrong.Asked != ASN || wrong.Type != "GeoLite2-City" || !slices.Equal(wrong.Fits, []Kind{City, Country}) {
		t.Errorf("%v", err)
	}
}

// TestNoEndlessTree: both sides of every node lead to the next one, so that there are more ways through a tree of a hundred nodes than
// anybody can walk; and in another a node leads to itself.
func TestNoEndlessTree(t *testing.T) {
	data := built(t)["city.mmdb"]
	const nodeBytes, nodes = 7, 100
	for name, next := range map[string]func(node int) int{"every way": func(node int) int { return node + 1 }, "a circle": func(int) int { return 0 }} {
		bad := slices.Clone(data)
		for node := range nodes {
			to := byte(next(node))
			copy(bad[node*nodeBytes:], []byte{0, 0, to, 0, 0, 0, to})
		}
		if _, err := New(City, bad); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	mmdbtest.Write(t, dir)
	path := filepath.Join(dir, "city.mmdb")
	first, err := Open(City, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v := first.Version(); v.String() != "GeoLite2-City 2026-11-20" || v.Kind != City || !v.Built.Equal(mmdbtest.Built()) {
		t.Errorf("%+v", v)
	}
	if again, err := Open(City, path, first); err != nil || again != first {
		t.Errorf("the same file was read anew: %v", err)
	}
	if other, err := Open(Country, path, first); err != nil || other == first {
		t.Errorf("one of another kind was answered: %v", err)
	}
	// What is written into the file under a running process changes nothing for it.
	if err := os.WriteFile(path, make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := first.find(netip.MustParseAddr("203.0.113.9")); got == nil || got.Place.Region != "UA-43" {
		t.Errorf("%+v", got)
	}
	if _, err := Open(City, path, first); err == nil {
		t.Error("zeros were taken for a database")
	}
	for _, path := range []string{dir, filepath.Join(dir, "nowhere.mmdb")} {
		if _, err := Open(City, path, nil); err == nil {
			t.Errorf("%s was opened", path)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	c := NewCache(Embedded{}, opened(t, Kinds()...))
	own := NewCache(Embedded{}, nil)
	Embedded{}.Country(netip.MustParseAddr("2001:4860:4860::8888"))
	var n uint32
	if allocs := testing.AllocsPerRun(1000, func() {
		n++
		for _, a := range [...]netip.Addr{netip.AddrFrom4([4]byte{203, 0, 113, byte(n)}), netip.AddrFrom4([4]byte{byte(n), byte(n >> 3), 7, 1}),
			netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 1, 15: byte(n)})} {
			c.Lookup(a)
			own.Lookup(a)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations for addresses not seen before", allocs)
	}
}

// FuzzDatabase: whatever a file holds, it is refused, or every address gets an answer; nothing panics and nothing runs on.
func FuzzDatabase(f *testing.F) {
	for _, data := range built(f) {
		f.Add(data, 0, byte(0))
		f.Add(data, len(data)/2, byte(0xff))
		f.Add(data, 3, byte(0x11))
	}
	f.Fuzz(func(t *testing.T, data []byte, at int, flip byte) {
		if at >= 0 && at < len(data) {
			data = slices.Clone(data)
			data[at] ^= flip
		}
		for _, kind := range Kinds() {
			d, err := New(kind, data)
			if err != nil {
				continue
			}
			c := NewCache(nil, NewDatabases(d))
			for i := range 256 {
				c.Lookup(netip.AddrFrom4([4]byte{203, 0, byte(i), 9}))
				c.Lookup(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i)}))
			}
			_ = d.Version().String()
		}
	})
}
