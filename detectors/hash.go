package detectors

import (
	"encoding/binary"
	"math/bits"
)

// seed keys the hashes of a memory. Texts come from attackers: without a secret they could choose what is sampled and what is
// evicted. It belongs to the shard and is part of its checkpoint, so that every process answers alike.
type seed struct{ k0, k1 uint64 }

func newSeed(n uint64) seed {
	s := seed{n, ^n}
	return seed{s.text("klaxon 0"), s.text("klaxon 1")}
}

// text is SipHash-1-3 of a text.
func (s seed) text(x string) uint64 {
	h := s.start()
	n := len(x)
	for len(x) >= 8 {
		h.word(binary.LittleEndian.Uint64([]byte(x[:8])))
		x = x[8:]
	}
	last := uint64(n) << 56
	for i := range len(x) {
		last |= uint64(x[i]) << (8 * i)
	}
	h.word(last)
	return h.end()
}

// words is the hash of a few numbers.
func (s seed) words(a, b, c, d uint64) uint64 {
	h := s.start()
	h.word(a)
	h.word(b)
	h.word(c)
	h.word(d)
	return h.end()
}

type sip struct{ a, b, c, d uint64 }

func (s seed) start() sip {
	return sip{s.k0 ^ 0x736f6d6570736575, s.k1 ^ 0x646f72616e646f6d, s.k0 ^ 0x6c7967656e657261, s.k1 ^ 0x7465646279746573}
}

func (h *sip) word(w uint64) {
	h.d ^= w
	h.round()
	h.a ^= w
}

func (h *sip) end() uint64 {
	h.c ^= 0xff
	h.round()
	h.round()
	h.round()
	return h.a ^ h.b ^ h.c ^ h.d
}

func (h *sip) round() {
	h.a += h.b
	h.b = bits.RotateLeft64(h.b, 13) ^ h.a
	h.a = bits.RotateLeft64(h.a, 32)
	h.c += h.d
	h.d = bits.RotateLeft64(h.d, 16) ^ h.c
	h.a += h.d
	h.d = bits.RotateLeft64(h.d, 21) ^ h.a
	h.c += h.b
	h.b = bits.RotateLeft64(h.b, 17) ^ h.c
	h.c = bits.RotateLeft64(h.c, 32)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
