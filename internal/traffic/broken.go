package traffic

import (
	"time"
)

// brokenEvery is how often a record comes along that no reader can make sense of.
const brokenEvery = 10 * time.Second

// planBroken adds what goes wrong between an application and Kafka: a document that ends in the middle, an empty record, and a line with
// NUL bytes in it, which can still be read.
func (g *Generator) planBroken() {
	every := min(int64(brokenEvery), int64(g.opts.Duration)/4)
	turn := 0
	g.act(every/2, func(at int64) (Message, int64) {
		t := g.tenants[turn%len(g.tenants)]
		turn++
		return g.breakOne(t, turn, at), every
	})
}

func (g *Generator) breakOne(t *tenant, turn int, at int64) Message {
	switch turn % 4 {
	case 0:
		m := g.work(t, at)
		m.Value = m.Value[:0]
		g.broken++
		return m
	case 1:
		m := g.work(t, at)
		m.Value = m.Value[:len(m.Value)*2/3]
		g.broken++
		return m
	case 2:
		m := g.routine(t, at)
		m.Value = m.Value[:len(m.Value)/2]
		g.broken++
		return m
	}
	m := g.visit(t, at)
	copy(m.Value[len(m.Value)/2:], "\x00\x00\x00\x00")
	return m
}
