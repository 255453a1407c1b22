package ingest

import (
	"net/netip"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/ingest/decode"
	"github.com/klaxonhq/klaxon/ingest/enrich"
)

// enrich adds what follows from the event's own fields: the client behind proxies, countries, related.*.
func (n *Normalizer) enrich(d *datasets.Dataset, e *event.Event) {
	if d != nil && d.Forwarded() != 0 {
		n.forwarded(e, d.Forwarded())
	}
	if n.country != nil {
		n.locate(e, n.f.sourceIP, n.f.sourceCountry)
		n.locate(e, n.f.clientIP, n.f.clientCountry)
	}
	for _, f := range n.f.addresses {
		for v := e.First(f); v != nil; v = e.Next(v) {
			n.relateAddr(e, v)
		}
	}
	relate(e, n.f.relatedUser, n.f.users)
	relate(e, n.f.relatedHosts, n.f.hosts)
}

// forwarded reads the list of addresses that proxies wrote down: all of them go to network.forwarded_ip, and the first from the right that
// no trusted proxy wrote about itself is client.ip.
func (n *Normalizer) forwarded(e *event.Event, from event.FieldID) {
	v := e.First(from)
	if v == nil {
		return
	}
	n.hops = decode.Forwarded(v.Text(), n.hops)
	for more := e.Next(v); more != nil && len(n.hops) < cap(n.hops); more = e.Next(more) {
		if a, ok := event.ParseAddr(more.Text()); ok { // a JSON list has an address an element
			n.hops = append(n.hops, a)
		}
	}
	if len(n.hops) == 0 {
		return
	}
	e.Clear(n.f.forwarded)
	for _, a := range n.hops {
		e.AddAddr(n.f.forwarded, a)
	}
	if e.Has(n.f.clientIP) {
		return
	}
	var peer netip.Addr
	if v := e.First(n.f.sourceIP); v != nil {
		peer = v.Addr()
	}
	e.AddAddr(n.f.clientIP, decode.Client(peer, n.hops, n.proxies, enrich.Private))
}

func (n *Normalizer) locate(e *event.Event, address, country event.FieldID) {
	v := e.First(address)
	if v == nil || v.Kind() != event.Addr || e.Has(country) {
		return
	}
	if code, ok := n.country.Country(v.Addr()); ok {
		e.Add(country, code)
	}
}

// maxRelated bounds how many values a related field gets, so that comparing them stays cheap.
const maxRelated = 64

func (n *Normalizer) relateAddr(e *event.Event, v *event.Value) {
	if v.Kind() != event.Addr {
		return
	}
	a, count := v.Addr(), 0
	for r := e.First(n.f.relatedIP); r != nil; r = e.Next(r) {
		if count++; r.Addr() == a || count >= maxRelated {
			return
		}
	}
	e.AddCopy(n.f.relatedIP, v)
}

func relate(e *event.Event, to event.FieldID, from []event.FieldID) {
	for _, f := range from {
	values:
		for v := e.First(f); v != nil; v = e.Next(v) {
			text, count := v.Text(), 0
			if text == "" {
				continue
			}
			for r := e.First(to); r != nil; r = e.Next(r) {
				if count++; r.Text() == text || count >= maxRelated {
					continue values
				}
			}
			e.AddCopy(to, v)
		}
	}
}
