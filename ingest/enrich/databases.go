package enrich

import "net/netip"

// Sources says which databases an answer comes from, as a set of bits.
type Sources uint8

// source is the bit of a kind of database.
func (k Kind) source() Sources {
	for i, kind := range Kinds() {
		if kind == k {
			return 1 << i
		}
	}
	return 0
}

// Databases is the databases of one generation, at most one of each kind. It is immutable and safe for concurrent use; nil has none.
type Databases struct {
	byKind [4]*Database // in the order of Kinds
	texts  [4]string    // their versions
}

// NewDatabases puts databases together; of two of one kind the later counts.
func NewDatabases(all ...*Database) *Databases {
	d := &Databases{}
	for _, one := range all {
		for i, kind := range Kinds() {
			if one.kind == kind {
				d.byKind[i], d.texts[i] = one, one.Version().String()
			}
		}
	}
	return d
}

// Get is the database of a kind, or nil.
func (d *Databases) Get(kind Kind) *Database {
	if d != nil {
		for i, k := range Kinds() {
			if k == kind {
				return d.byKind[i]
			}
		}
	}
	return nil
}

// Versions is that of every database there is, in the order of their kinds.
func (d *Databases) Versions() []Version {
	var out []Version
	for _, kind := range Kinds() {
		if one := d.Get(kind); one != nil {
			out = append(out, one.Version())
		}
	}
	return out
}

// Named calls f with the version of every database in a set.
func (d *Databases) Named(from Sources, f func(string)) {
	for i := range d.texts {
		if from&(1<<i) != 0 {
			f(d.texts[i])
		}
	}
}

// places says whether a database knows in which country an address is.
func (d *Databases) places() bool { return d.Get(City) != nil || d.Get(Country) != nil }

// lookup adds what the databases know of an address. A database of countries is asked for what that of cities does not know.
func (d *Databases) lookup(a netip.Addr, to *Info) {
	if d == nil || !a.IsValid() {
		return
	}
	a = carried(a)
	for _, one := range d.byKind {
		if one == nil || one.kind == Country && to.Country != "" {
			continue
		}
		found := one.find(a)
		if found == nil {
			continue
		}
		if to.From |= found.From; found.Place != nil {
			to.Place, to.Country = found.Place, found.Country
		}
		if found.System != nil {
			to.System = found.System
		}
		to.Network |= found.Network
	}
}
