package ingest

import (
	"net/netip"
	"slices"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/ingest/decode"
	"github.com/klaxonhq/klaxon/ingest/enrich"
)

// enrich adds what follows from the event's own fields: the client behind proxies, what is known of addresses, related.*.
func (n *Normalizer) enrich(d *datasets.Dataset, e *event.Event) {
	if d != nil && d.Forwarded() != 0 {
		n.forwarded(e, d.Forwarded())
	}
	n.locate(e)
	n.relateAddrs(e)
	relate(e, n.f.relatedUser, n.f.users)
	relate(e, n.f.relatedHosts, n.f.hosts)
}

// forwarded reads the list of addresses that proxies wrote down, which one text may hold or, as a header that is there several times, several:
// all of them go to network.forwarded_ip, and the first from the right that no trusted proxy wrote about itself is client.ip.
func (n *Normalizer) forwarded(e *event.Event, from event.FieldID) {
	n.hops = n.hops[:0]
	for v := e.First(from); v != nil; v = e.Next(v) {
		n.hops = decode.Forwarded(v.Text(), n.hops)
	}
	if !slices.ContainsFunc(n.hops, netip.Addr.IsValid) {
		return
	}
	e.Clear(n.f.forwarded)
	for _, a := range n.hops {
		if a.IsValid() {
			e.AddAddr(n.f.forwarded, a)
		}
	}
	if e.Has(n.f.clientIP) {
		return
	}
	var peer netip.Addr
	if v := e.First(n.f.sourceIP); v != nil {
		peer = v.Addr()
	}
	if client, ok := decode.Client(peer, n.hops, n.proxies, enrich.Private); ok {
		e.AddAddr(n.f.clientIP, client)
	}
}

// maxRelated bounds how many values of a field are looked at, and how many a related field gets beside those that the event came with, so
// that comparing them stays cheap. What a sender puts into related.* takes no place away.
const maxRelated = 64

func (n *Normalizer) relateAddrs(e *event.Event) {
	added := 0
	for _, f := range n.f.addresses {
		looked := 0
	values:
		for v := e.First(f); v != nil && looked < maxRelated && added < maxRelated; v = e.Next(v) {
			if looked++; v.Kind() != event.Addr {
				continue
			}
			for r := e.First(n.f.relatedIP); r != nil; r = e.Next(r) {
				if r.Addr() == v.Addr() {
					continue values
				}
			}
			e.AddCopy(n.f.relatedIP, v)
			added++
		}
	}
}

func relate(e *event.Event, to event.FieldID, from []event.FieldID) {
	added := 0
	for _, f := range from {
		looked := 0
	values:
		for v := e.First(f); v != nil && looked < maxRelated && added < maxRelated; v = e.Next(v) {
			if looked++; v.Text() == "" {
				continue
			}
			for r := e.First(to); r != nil; r = e.Next(r) {
				if r.Text() == v.Text() {
					continue values
				}
			}
			e.AddCopy(to, v)
			added++
		}
	}
}
