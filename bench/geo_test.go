package bench

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest"
	"github.com/klaxonhq/klaxon/ingest/enrich"
	"github.com/klaxonhq/klaxon/internal/mmdbtest"
)

// Of the made databases: as many /24 networks, spread over the IPv4 space, in some thousand cities and systems.
const (
	geoNetworks = 1 << 12
	geoCities   = 1 << 10
)

// geoNetwork is the first address of the n-th network.
func geoNetwork(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 6), byte(n<<2) | 1, byte(n * 7), 0})
}

// geoAddress is the i-th of 2^20 addresses that the made databases know, each in another network than the one before.
func geoAddress(i int) netip.Addr {
	b := geoNetwork(i * 37 % geoNetworks).As4()
	b[3] = byte(i / geoNetworks)
	return netip.AddrFrom4(b)
}

// geoDatabases makes databases of cities, systems and anonymous networks.
func geoDatabases(t testing.TB) *enrich.Databases {
	t.Helper()
	networks := map[enrich.Kind]map[string]mmdbtest.Record{enrich.City: {}, enrich.ASN: {}, enrich.Anonymity: {}}
	for i := range geoCities { // records are shared, as in real databases
		city := mmdbtest.CityRecord(mmdbtest.Place{Country: string([]byte{'A' + byte(i%26), 'A' + byte(i/26%26)}), CountryName: "A country", Continent: "EU", Region: fmt.Sprint(i % 40),
			RegionName: fmt.Sprintf("Region %d", i%40), City: fmt.Sprintf("City %d", i), TimeZone: "Europe/Somewhere", Latitude: float64(i%180) - 89.1234, Longitude: float64(i%360) - 179.4321})
		system := mmdbtest.Record{"autonomous_system_number": 64512 + i, "autonomous_system_organization": fmt.Sprintf("Example Network %d", i)}
		for n := i; n < geoNetworks; n += geoCities {
			net := netip.PrefixFrom(geoNetwork(n), 24).String()
			networks[enrich.City][net], networks[enrich.ASN][net] = city, system
			if i%16 == 0 {
				networks[enrich.Anonymity][net] = mmdbtest.Record{"is_anonymous": true, "is_hosting_provider": true}
			}
		}
	}
	var all []*enrich.Database
	for kind, of := range networks {
		data, err := mmdbtest.Build("Bench-"+string(kind), of)
		if err != nil {
			t.Fatal(err)
		}
		d, err := enrich.New(kind, data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return enrich.NewDatabases(all...)
}

// BenchmarkGeo is what it costs an event to know more of its source and its destination: nothing, the built-in table, and three databases; for
// addresses that come again, and for addresses that never do. The first is what everything else costs: the difference counts.
func BenchmarkGeo(b *testing.B) {
	_, options := shippedOptions(b)
	for _, c := range []struct {
		name      string
		countries enrich.Countries
		databases *enrich.Databases
	}{{"off", nil, nil}, {"built-in", enrich.Embedded{}, nil}, {"city+asn+anonymous", enrich.Embedded{}, geoDatabases(b)}} {
		for _, l := range []struct {
			name      string
			addresses int
		}{{"again", 64}, {"new", 1 << 20}} {
			b.Run(c.name+"/"+l.name, func(b *testing.B) {
				o := options
				o.Country, o.Databases = c.countries, c.databases
				m := newLocator(o, l.addresses)
				measure(b, lane{batches: []*event.Batch{{Records: make([]event.Record, perBatch), Bytes: perBatch * len(geoLine)}}}, m.batch)
			})
		}
	}
}

// TestGeo: what the benchmark measures is there, and nothing is allocated for it.
func TestGeo(t *testing.T) {
	_, options := shippedOptions(t)
	options.Databases = geoDatabases(t)
	m := newLocator(options, 1<<20)
	b := &event.Batch{Records: make([]event.Record, 200)}
	for range 50 {
		if n := m.batch(b); n != len(b.Records) {
			t.Fatalf("%d events of %d records", n, len(b.Records))
		}
		if doc := string(m.document); strings.Count(doc, `"city_name":"City `) != 2 || strings.Count(doc, `"number":6`) != 2 {
			t.Fatalf("not all is known in %s", doc)
		}
	}
	if n := testing.AllocsPerRun(20, func() { m.batch(b) }); n != 0 {
		t.Errorf("%v allocations for %d events with addresses not seen before", n, len(b.Records))
	}
}

const geoLine = `{"@timestamp":"2026-11-24T09:30:00Z","event":{"action":"connect"},"source":{"ip":"255.255.255.255"},"destination":{"ip":"255.255.255.255"}}`

// locator normalises a connection a record, each between the next two addresses.
type locator struct {
	normalizer *ingest.Normalizer
	event      *event.Event
	addresses  int
	next       int
	events     int
	record     event.Record
	document   []byte
	each       func(*event.Event)
}

func newLocator(o ingest.Options, addresses int) *locator {
	l := &locator{normalizer: ingest.NewNormalizer(o), event: event.New(o.Schema), addresses: addresses, record: event.Record{Time: start().UnixMilli()}}
	l.each = func(e *event.Event) {
		l.events++
		l.document = e.AppendDocument(l.document[:0])
	}
	return l
}

// batch answers how many events it was.
func (l *locator) batch(b *event.Batch) int {
	l.events = 0
	for range b.Records {
		v := append(l.record.Value[:0], `{"@timestamp":"2026-11-24T09:30:00Z","event":{"action":"connect"},"source":{"ip":"`...)
		v = append(geoAddress(l.next%l.addresses).AppendTo(v), `"},"destination":{"ip":"`...)
		v = append(geoAddress((l.next+1)%l.addresses).AppendTo(v), `"}}`...)
		l.record.Value = v
		l.next += 2
		if err := l.normalizer.NormalizeAs("json", &l.record, l.event, l.each); err != nil {
			return 0
		}
	}
	return l.events
}
