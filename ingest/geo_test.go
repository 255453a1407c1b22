package ingest

import (
	"slices"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/enrich"
	"github.com/klaxonhq/klaxon/internal/mmdbtest"
)

// made is databases of some kinds, as mmdbtest makes them.
func made(t testing.TB, kinds ...enrich.Kind) *enrich.Databases {
	t.Helper()
	all, err := mmdbtest.Databases()
	if err != nil {
		t.Fatal(err)
	}
	var out []*enrich.Database
	for _, kind := range kinds {
		d, err := enrich.New(kind, all[string(kind)+".mmdb"])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	return enrich.NewDatabases(out...)
}

func TestWhatIsKnownOfAddresses(t *testing.T) {
	const all = "GeoLite2-City 2026-11-20, GeoLite2-ASN 2026-11-20"
	for name, c := range map[string]struct {
		kinds []enrich.Kind
		line  string
		want  string // fields of the document, one after the other
	}{
		"every database": {enrich.Kinds(), `{"source":{"ip":"203.0.113.9"}}`,
			`source.geo.country_iso_code=UA source.geo.country_name=Ukraine source.geo.continent_code=EU source.geo.region_iso_code=UA-43 source.geo.region_name=Crimea source.geo.city_name=Simferopol ` +
				`source.geo.timezone=Europe/Simferopol source.geo.location={"lat":44.957,"lon":34.1108} source.as.number=64500 source.as.organization.name=Krym Net klaxon.geo.databases=` + all},
		"every end": {enrich.Kinds(), `{"source":{"ip":"198.51.100.7"},"destination":{"ip":"2001:db8:1::9"},"client":{"ip":"192.0.2.200"},"server":{"ip":"198.51.100.200"}}`,
			`source.geo.city_name=Paris klaxon.source.network=anonymous, tor_exit_node destination.geo.region_iso_code=US-CA destination.as.number=4200000001 client.geo.country_iso_code=IR client.geo.city_name= ` +
				`server.as.organization.name=Réseau d’essai klaxon.server.network=anonymous, anonymous_vpn, hosting_provider klaxon.destination.network= klaxon.geo.databases=` + all + ", GeoIP2-Anonymous-IP 2026-11-20"},
		"of countries": {[]enrich.Kind{enrich.Country}, `{"source":{"ip":"203.0.113.9"}}`,
			`source.geo.country_iso_code=UA source.geo.country_name=Ukraine source.geo.region_iso_code= source.geo.location= source.as.number= klaxon.geo.databases=GeoLite2-Country 2026-11-20`},
		"of systems, and the built-in table": {[]enrich.Kind{enrich.ASN}, `{"source":{"ip":"5.160.0.1"},"destination":{"ip":"198.51.100.7"}}`,
			`source.geo.country_iso_code=IR source.geo.country_name= source.as.number= destination.as.number=64501 klaxon.geo.databases=GeoLite2-ASN 2026-11-20`},
		"nothing is known": {enrich.Kinds(), `{"source":{"ip":"10.0.0.1"},"client":{"ip":"8.8.8.8"}}`, `source.geo.country_iso_code= client.geo.country_iso_code= client.as.number= klaxon.geo.databases=`},
		"the sender knows better": {enrich.Kinds(), `{"source":{"ip":"203.0.113.9","geo":{"country_iso_code":"CY"},"as":{"number":7}}}`,
			`source.geo.country_iso_code=CY source.geo.region_iso_code= source.geo.location= source.as.number=7 source.as.organization.name=`},
		"the sender knows a part": {enrich.Kinds(), `{"source":{"ip":"203.0.113.9","geo":{"city_name":"Yalta","location":{"lat":1,"lon":2}}}}`,
			`source.geo.country_iso_code=UA source.geo.city_name=Yalta source.geo.location={"lat":1,"lon":2} source.geo.region_iso_code=UA-43`},
		"a sender cannot say it":        {enrich.Kinds(), `{"klaxon":{"source":{"network":"tor_exit_node"},"geo":{"databases":"x"}},"source":{"ip":"192.0.2.200"}}`, `klaxon.source.network= klaxon.geo.databases=GeoLite2-City 2026-11-20`},
		"an address that is none":       {enrich.Kinds(), `{"source":{"ip":"nowhere"}}`, `source.geo.country_iso_code= klaxon.bad_fields=source.ip`},
		"far south and far to the west": {enrich.Kinds(), `{"source":{"ip":"2001:db8:1::1"}}`, `source.geo.location={"lat":37.7749,"lon":-122.4194}`},
	} {
		t.Run(name, func(t *testing.T) {
			n := NewNormalizer(Options{Datasets: shipped(t), Country: enrich.Embedded{}, Databases: made(t, c.kinds...)})
			e := event.New(n.schema)
			err := n.Normalize(record(c.line), e, func(e *event.Event) {
				for _, want := range fields(c.want) {
					field, value, _ := strings.Cut(want, "=")
					var got []string
					id, ok := n.schema.Lookup(field)
					if !ok {
						t.Fatalf("there is no field %s", field)
					}
					for v := e.First(id); v != nil; v = e.Next(v) {
						got = append(got, v.Text())
					}
					if strings.Join(got, ", ") != value {
						t.Errorf("%s is %q, want %q", field, got, value)
					}
				}
				if doc := string(e.AppendDocument(nil)); strings.Contains(c.want, `"lat"`) && !strings.Contains(doc, `"location":{"lat":`) {
					t.Errorf("no location in %s", doc)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// fields cuts `a=x b=y z c=` where a field begins.
func fields(s string) []string {
	var out []string
	for _, word := range strings.Split(s, " ") {
		if strings.ContainsRune(word, '=') {
			out = append(out, word)
		} else {
			out[len(out)-1] += " " + word
		}
	}
	slices.Sort(out)
	return out
}

// TestOtherRecordsLeaveNothingBehind: what was known of one record's addresses is not said of the next one's.
func TestOtherRecordsLeaveNothingBehind(t *testing.T) {
	n := NewNormalizer(Options{Datasets: shipped(t), Databases: made(t, enrich.Kinds()...)})
	var docs []string
	for _, line := range []string{`{"source":{"ip":"203.0.113.9"}}`, `{"source":{"ip":"9.9.9.9"}}`} {
		got, err := documents(t, n, record(line))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, got...)
	}
	if !strings.Contains(docs[0], "Simferopol") || strings.Contains(docs[1], "geo") || strings.Contains(docs[1], `"as"`) {
		t.Errorf("%s", docs)
	}
}
