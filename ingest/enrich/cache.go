package enrich

import "net/netip"

// Info is what is known of an address. What it points to is immutable.
type Info struct {
	Country string  // ISO 3166-1 alpha-2, "" where it is in none
	Place   *Place  // nil: no database says more than the country
	System  *System // nil: unknown
	Network Network
	From    Sources
}

// cacheSize is how many addresses a Cache holds: a power of two.
const cacheSize = 1 << 12

// Cache answers what is known of addresses, and remembers it, direct-mapped by a hash of the address, so that it never grows. One per
// worker: it is not safe for concurrent use. It allocates nothing after it is made.
type Cache struct {
	countries Countries
	databases *Databases
	slots     [cacheSize]cached
}

type cached struct {
	addr netip.Addr
	info Info
}

// NewCache makes an empty cache. The databases, which may be nil, are asked first; the countries, which may be nil, where no database
// is about places.
func NewCache(countries Countries, databases *Databases) *Cache {
	if databases.places() {
		countries = nil
	}
	return &Cache{countries: countries, databases: databases}
}

// Lookup is what is known of an address. It is valid until the next call.
func (c *Cache) Lookup(a netip.Addr) *Info {
	b := a.As16()
	h := uint64(14695981039346656037)
	for _, x := range b[4:] {
		h = (h ^ uint64(x)) * 1099511628211
	}
	s := &c.slots[(h^h>>32)&(cacheSize-1)]
	if s.addr != a {
		s.addr, s.info = a, Info{}
		c.databases.lookup(a, &s.info)
		if c.countries != nil {
			s.info.Country, _ = c.countries.Country(a)
		}
	}
	return &s.info
}
