package enrich

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Kind is what a database is asked for.
type Kind string

// The kinds of databases, in the order in which they are asked.
const (
	City      Kind = "city"      // where an address is, as exactly as it is known
	Country   Kind = "country"   // in which country
	ASN       Kind = "asn"       // who announces it
	Anonymity Kind = "anonymous" // whether it hides who is behind it
)

// Kinds is every kind of database.
func Kinds() []Kind { return []Kind{City, Country, ASN, Anonymity} }

// maxDatabaseBytes bounds a file: it is held in memory.
const maxDatabaseBytes = 2 << 30

// Database is one MaxMind database, held in memory, so that nothing that becomes of its file later matters to who uses it. Its records were all read when it was
// opened: a look-up walks the tree of networks and finds what is known ready. It is immutable and safe for concurrent use.
type Database struct {
	kind   Kind
	digest [sha256.Size]byte
	reader *maxminddb.Reader
	index  map[uint32]uint32 // by a record's place in the file
	rows   []Info            // the first is what is known of nobody
}

// Open reads a database. What is damaged, or is about something else than what it is to be asked for, is an error that says so. last, which
// may be nil, is the answer where the file holds just what last was made of.
func Open(kind Kind, path string, last *Database) (*Database, error) {
	data, err := readAll(path)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(data)
	if last != nil && last.kind == kind && last.digest == digest {
		return last, nil
	}
	d, err := New(kind, data)
	if err != nil {
		return nil, err
	}
	d.digest = digest
	return d, nil
}

func readAll(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no file")
	}
	if info.Size() > maxDatabaseBytes {
		return nil, fmt.Errorf("it has %d bytes, and at most %d are read", info.Size(), maxDatabaseBytes)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("it was cut off while it was read: %w", err)
	}
	return data, nil
}

// New is Open for the contents of a file, which the database keeps: the caller must not write to them.
func New(kind Kind, data []byte) (*Database, error) {
	r, err := maxminddb.OpenBytes(data, maxminddb.DisableStringCache())
	if err != nil {
		return nil, fmt.Errorf("it is no MaxMind database, or was cut off: %w", err)
	}
	d := &Database{kind: kind, reader: r, digest: sha256.Sum256(data)}
	if err := d.read(); err != nil {
		return nil, err
	}
	return d, nil
}

// pool keeps each of many equal values once.
type pool[T comparable] struct {
	at   map[T]uint32
	list []T
}

func newPool[T comparable]() pool[T] {
	var none T
	return pool[T]{map[T]uint32{none: 0}, []T{none}}
}

// put is the place of a value; the zero value is at 0.
func (p *pool[T]) put(v T) uint32 {
	i, ok := p.at[v]
	if !ok {
		i = uint32(len(p.list))
		p.at[v] = i
		p.list = append(p.list, v)
	}
	return i
}

// row is an Info by the places of its parts.
type row struct {
	place, system uint32
	network       Network
}

// read walks through all networks and reads every record once. The tree of a damaged file may lead in circles, and its records into each
// other: what a sound one of its size cannot have ends the walk.
func (d *Database) read() error {
	d.index = map[uint32]uint32{}
	places, systems, rows := newPool[Place](), newPool[System](), newPool[row]()
	dec := decoder{named: map[uint]named{}}
	var has Sources
	ends := 2 * int(min(d.reader.Metadata.NodeCount, math.MaxInt32)) // every node has two sides
	for r := range d.reader.Networks(maxminddb.IncludeNetworksWithoutData()) {
		if ends--; ends < 0 {
			return errors.New("it is damaged: its tree of networks leads back into itself")
		}
		if err := r.Err(); err != nil {
			return fmt.Errorf("it is damaged: %w", err)
		}
		if !r.Found() {
			continue
		}
		at := uint64(r.Offset())
		if at > math.MaxUint32 {
			return errors.New("it is damaged: a record lies beyond its end")
		}
		if _, known := d.index[uint32(at)]; known {
			continue
		}
		if err := r.Decode(&dec); err != nil {
			return fmt.Errorf("it is damaged: the record of %s: %w", r.Prefix(), err)
		}
		has |= dec.has()
		dec.keep(d.kind)
		d.index[uint32(at)] = rows.put(row{places.put(dec.place), systems.put(dec.system), dec.network})
	}
	d.fill(places.list, systems.list, rows.list)
	return d.check(has)
}

func (d *Database) fill(places []Place, systems []System, rows []row) {
	d.rows = make([]Info, len(rows))
	for i, r := range rows {
		info := &d.rows[i]
		info.Network = r.network
		if r.place != 0 {
			info.Place = &places[r.place]
			info.Country = info.Place.Country
		}
		if r.system != 0 {
			info.System = &systems[r.system]
		}
		if i > 0 {
			info.From = d.kind.source()
		}
	}
}

// check refuses a database that says nothing of what it is to be asked for; has is what it could be asked for.
func (d *Database) check(has Sources) error {
	name := d.reader.Metadata.DatabaseType
	if len(d.index) == 0 {
		return fmt.Errorf("%s holds no networks", name)
	}
	if has&d.kind.source() != 0 {
		return nil
	}
	e := &WrongKindError{Type: name, Asked: d.kind}
	for _, kind := range Kinds() {
		if has&kind.source() != 0 {
			e.Fits = append(e.Fits, kind)
		}
	}
	return e
}

// WrongKindError is a sound database that says nothing of what it is to be asked for.
type WrongKindError struct {
	Type  string // what it calls itself
	Asked Kind
	Fits  []Kind // what it can be asked for
}

// Error says what is missing.
func (e *WrongKindError) Error() string {
	what := map[Kind]string{City: "cities, regions or locations", Country: "countries", ASN: "autonomous systems", Anonymity: "anonymous networks"}
	return fmt.Sprintf("it is a database %q, which says nothing of %s", e.Type, what[e.Asked])
}

// find is what the database knows of an address; nil: nothing. It allocates nothing.
func (d *Database) find(a netip.Addr) *Info {
	r := d.reader.Lookup(a)
	if !r.Found() {
		return nil
	}
	return &d.rows[d.index[uint32(r.Offset())]]
}

// Version names a database and says when it was made.
type Version struct {
	Kind  Kind
	Type  string // what it calls itself, such as GeoLite2-City
	Built time.Time
}

// String is the type and the day, such as `GeoLite2-City 2026-11-20`.
func (v Version) String() string { return v.Type + " " + v.Built.UTC().Format(time.DateOnly) }

// Version is the database's own.
func (d *Database) Version() Version {
	m := d.reader.Metadata
	return Version{Kind: d.kind, Type: m.DatabaseType, Built: m.BuildTime()}
}
