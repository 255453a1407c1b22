// Package mmdbtest makes small MaxMind databases for tests, in the shapes of those that people use.
package mmdbtest

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"go4.org/netipx"
)

// Record is what a database says of a network: texts, numbers, truth values, lists and records.
type Record = map[string]any

// Built is when the databases say that they were made.
func Built() time.Time { return time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC) }

// Build makes a database of networks, such as 203.0.113.0/24, and their records.
func Build(databaseType string, networks map[string]Record) ([]byte, error) {
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: databaseType, BuildEpoch: Built().Unix(), RecordSize: 28, IncludeReservedNetworks: true,
		Description: map[string]string{"en": "made for a test"}, Languages: []string{"en"}})
	if err != nil {
		return nil, fmt.Errorf("cannot begin a database: %w", err)
	}
	for _, network := range slices.Sorted(maps.Keys(networks)) {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return nil, fmt.Errorf("%q is no network: %w", network, err)
		}
		value, err := valueOf(networks[network])
		if err != nil {
			return nil, err
		}
		if err := w.Insert(netipx.PrefixIPNet(prefix), value); err != nil {
			return nil, fmt.Errorf("cannot add %s: %w", network, err)
		}
	}
	var out bytes.Buffer
	if _, err := w.WriteTo(&out); err != nil {
		return nil, fmt.Errorf("cannot write a database: %w", err)
	}
	return out.Bytes(), nil
}

func valueOf(v any) (mmdbtype.DataType, error) {
	switch v := v.(type) {
	case string:
		return mmdbtype.String(v), nil
	case float64:
		return mmdbtype.Float64(v), nil
	case int:
		return mmdbtype.Uint32(v), nil
	case bool:
		return mmdbtype.Bool(v), nil
	case Record:
		out := mmdbtype.Map{}
		for key, member := range v {
			value, err := valueOf(member)
			if err != nil {
				return nil, err
			}
			out[mmdbtype.String(key)] = value
		}
		return out, nil
	case []any:
		var out mmdbtype.Slice
		for _, element := range v {
			value, err := valueOf(element)
			if err != nil {
				return nil, err
			}
			out = append(out, value)
		}
		return out, nil
	}
	return nil, fmt.Errorf("a database holds no %T", v)
}

// Place is where a network is.
type Place struct {
	Country, CountryName, Continent, Region, RegionName, City, TimeZone string
	Latitude, Longitude                                                 float64
}

// CityRecord is a place as GeoLite2-City writes it.
func CityRecord(p Place) Record {
	names := func(en string) Record { return Record{"en": en, "de": en + " (de)"} }
	r := Record{
		"continent": Record{"code": p.Continent, "names": names("of " + p.Continent)}, "country": Record{"iso_code": p.Country, "names": names(p.CountryName)},
		"registered_country": Record{"iso_code": "US", "names": names("United States")},
		"location":           Record{"latitude": p.Latitude, "longitude": p.Longitude, "time_zone": p.TimeZone, "accuracy_radius": 20},
		"postal":             Record{"code": "12345"},
	}
	if p.City != "" {
		r["city"] = Record{"geoname_id": 7, "names": names(p.City)}
	}
	if p.Region != "" {
		r["subdivisions"] = []any{Record{"iso_code": p.Region, "names": names(p.RegionName)}, Record{"iso_code": "XX", "names": names("a part of it")}}
	}
	return r
}

// The networks of the databases that Write writes.
const (
	Simferopol   = "203.0.113.0/24"
	Kyiv         = "192.0.2.0/25"
	Paris        = "198.51.100.0/24"
	SanFrancisco = "2001:db8:1::/48"
	Tehran       = "192.0.2.128/25"
)

func places() map[string]Place {
	return map[string]Place{
		Simferopol:   {"UA", "Ukraine", "EU", "43", "Crimea", "Simferopol", "Europe/Simferopol", 44.957, 34.1108},
		Kyiv:         {"UA", "Ukraine", "EU", "30", "Kyiv City", "Kyiv", "Europe/Kyiv", 50.4522, 30.5287},
		Paris:        {"FR", "France", "EU", "IDF", "Île-de-France", "Paris", "Europe/Paris", 48.8566, 2.3522},
		SanFrancisco: {"US", "United States", "NA", "CA", "California", "San Francisco", "America/Los_Angeles", 37.7749, -122.4194},
		Tehran:       {Country: "IR", CountryName: "Iran", Continent: "AS", TimeZone: "Asia/Tehran", Latitude: 35.6892, Longitude: 51.389},
	}
}

// Databases is a database of each kind, by the name of its file: city.mmdb, country.mmdb, asn.mmdb and anonymous.mmdb.
func Databases() (map[string][]byte, error) {
	city, country := map[string]Record{}, map[string]Record{}
	for network, p := range places() {
		city[network] = CityRecord(p)
		country[network] = CityRecord(Place{Country: p.Country, CountryName: p.CountryName, Continent: p.Continent})
		delete(country[network], "location")
	}
	asn := map[string]Record{
		Simferopol:   {"autonomous_system_number": 64500, "autonomous_system_organization": "Krym Net"},
		Paris:        {"autonomous_system_number": 64501, "autonomous_system_organization": "Réseau d’essai"},
		SanFrancisco: {"autonomous_system_number": 4200000001, "autonomous_system_organization": "Example, Inc."},
	}
	anonymous := map[string]Record{
		"198.51.100.7/32": {"is_anonymous": true, "is_tor_exit_node": true}, "198.51.100.128/25": {"is_anonymous": true, "is_anonymous_vpn": true, "is_hosting_provider": true},
	}
	out := map[string][]byte{}
	for name, of := range map[string]struct {
		kind     string
		networks map[string]Record
	}{"city.mmdb": {"GeoLite2-City", city}, "country.mmdb": {"GeoLite2-Country", country}, "asn.mmdb": {"GeoLite2-ASN", asn}, "anonymous.mmdb": {"GeoIP2-Anonymous-IP", anonymous}} {
		data, err := Build(of.kind, of.networks)
		if err != nil {
			return nil, err
		}
		out[name] = data
	}
	return out, nil
}

// Write writes Databases into a folder.
func Write(t testing.TB, dir string) {
	t.Helper()
	all, err := Databases()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range all {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
