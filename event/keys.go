package event

import "hash/maphash"

// keyFilter tells at a glance whether an object has a key for the first time. Where it is not sure it says no, and a keyTable is asked.
type keyFilter struct {
	epoch uint32 // of the document
	count int
	slots [512]uint64 // the upper half is a key's, the lower the epoch: what has another one is empty
}

// mostProbes is how many slots are looked at for a key: senders can make keys that collide.
const mostProbes = 8

func (f *keyFilter) reset() {
	f.epoch++
	f.count = 0
}

// first says whether a key, given by its hash, is surely new in an object.
func (f *keyFilter) first(object, hash uint64) bool {
	const n = uint64(len(f.slots))
	if f.count >= len(f.slots)/2 {
		return false
	}
	hash ^= object * 0x9E3779B97F4A7C15
	tag := hash>>32<<32 | uint64(f.epoch)
	for i := hash; i < hash+mostProbes; i++ {
		switch s := &f.slots[i%n]; {
		case uint32(*s) != f.epoch:
			*s = tag
			f.count++
			return true
		case *s == tag:
			return false
		}
	}
	return false
}

// keyTable finds the keys that an object has twice, in a time that grows with the document and not with what is in it: its hash has a seed
// that senders do not know. What it answers does not depend on the seed.
type keyTable struct {
	seed    maphash.Seed
	slots   []keySlot // open addressing
	mask    uint64
	members []keyMember
}

type keySlot struct {
	hash   uint64
	member int32 // 1-based; 0: empty
}

type keyMember struct {
	key    string
	from   int // the opening quote
	to     int // the next member's, once there is one
	object int32
}

func newKeyTable() keyTable {
	t := keyTable{seed: maphash.MakeSeed()}
	t.resize(256)
	return t
}

func (t *keyTable) resize(n int) { t.slots, t.mask = make([]keySlot, n), uint64(n-1) }

// note adds a key of an object, and returns its place and that of the same key before, or -1.
func (t *keyTable) note(object int32, key string, from int) (at, earlier int32) {
	if 2*len(t.members) >= len(t.slots) {
		t.grow()
	}
	at = int32(len(t.members))
	t.members = append(t.members, keyMember{key: key, from: from, object: object})
	return at, t.put(maphash.String(t.seed, key)+uint64(object)*0x9E3779B97F4A7C15, at)
}

func (t *keyTable) put(hash uint64, at int32) (earlier int32) {
	m := &t.members[at]
	for i := hash & t.mask; ; i = (i + 1) & t.mask {
		s := &t.slots[i]
		if s.member == 0 {
			*s = keySlot{hash, at + 1}
			return -1
		}
		if s.hash != hash {
			continue
		}
		if o := &t.members[s.member-1]; o.object == m.object && o.key == m.key {
			earlier, s.member = s.member-1, at+1
			return earlier
		}
	}
}

func (t *keyTable) grow() {
	old := t.slots
	t.resize(2 * len(old))
	for _, s := range old {
		if s.member != 0 {
			t.put(s.hash, s.member-1)
		}
	}
}
