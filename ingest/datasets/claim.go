package datasets

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/ingest/decode"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/glob"
)

// claimSpec is what a unit says about the records that are its own.
type claimSpec struct {
	topics   []nameAt
	headers  []headerSpec
	programs []nameAt
	json     []string // members that a document's root must have
	jsonAt   diag.Node
	pattern  *decode.Pattern
	src      nameAt
	any      string // "json" or "text": what nobody else claims
	anyAt    diag.Node
	share    diag.Node // `programs`: what other datasets claim by program is theirs, in these topics and under these headers too
}

type headerSpec struct {
	key   string
	value nameAt
}

func (u *Unit) readClaim(n diag.Node) {
	if !n.Exists() {
		return
	}
	m, ok := n.Map()
	if !ok {
		return
	}
	for _, t := range m.Get("topic").OneOrMany() {
		name := nameOf(t)
		if t.Exists() && strings.Trim(name.name, "*") == "" {
			t.Errorf("%q would claim every topic", name.name).Hint("name the topics")
			continue
		}
		u.claim.topics = append(u.claim.topics, name)
	}
	if h := m.Get("header"); h.Exists() {
		if pairs, ok := h.Map(); ok {
			for _, p := range pairs.Pairs() {
				pairs.Get(p.Key)
				for _, v := range p.Value.OneOrMany() {
					u.claim.headers = append(u.claim.headers, headerSpec{p.Key, nameOf(v)})
				}
			}
		}
	}
	u.readShape(m.Get("shape"))
	u.claim.share = m.Get("share")
	u.claim.share.OneOf("programs")
	m.Done()
}

func (u *Unit) readShape(n diag.Node) {
	if !n.Exists() {
		return
	}
	if n.IsScalar() {
		u.claim.any, u.claim.anyAt = n.OneOf("json", "text"), n
		return
	}
	m, ok := n.Map()
	if !ok {
		return
	}
	for _, p := range m.Get("program").OneOrMany() {
		u.claim.programs = append(u.claim.programs, nameOf(p))
	}
	if j := m.Get("json"); j.Exists() {
		u.claim.json, u.claim.jsonAt = j.Texts(), j
		slices.Sort(u.claim.json)
		u.claim.json = slices.Compact(u.claim.json)
	}
	if p := m.Get("pattern"); p.Exists() {
		u.claim.src = nameOf(p)
		u.claim.pattern = compilePattern(p)
	}
	m.Done()
}

// compilePattern reports the mistakes of a pattern at their places; nil if there is one.
func compilePattern(n diag.Node) *decode.Pattern {
	p, errs := decode.ParsePattern(n.Text())
	for _, e := range errs {
		n.ErrorfAt(e.Offset, "%s", e.Message).Hint("%s", e.Hint)
	}
	return p
}

// claims answers whose a record is. Header beats topic beats shape.
type claims struct {
	headers  []headerClaim
	told     []topicClaim // what the configuration says, before topics
	topics   []topicClaim
	programs map[string]*Dataset
	keys     map[string]uint64 // by member of a document's root: its bit
	json     []jsonClaim
	patterns []patternClaim
	anyJSON  *Dataset
	anyText  *Dataset
}

type headerClaim struct {
	key, value string
	d          *Dataset
}

type topicClaim struct {
	glob  string
	exact bool
	bytes int // literal bytes
	at    nameAt
	d     *Dataset
}

type jsonClaim struct {
	need uint64
	n    int
	each string
	d    *Dataset
}

type patternClaim struct {
	p *decode.Pattern
	d *Dataset
}

// maxKeys bounds the members that shapes may name between them.
const maxKeys = 64

func (c *claims) add(u *Unit, d *Dataset) {
	for _, h := range u.claim.headers {
		if i := slices.IndexFunc(c.headers, func(o headerClaim) bool { return o.key == h.key && o.value == h.value.name }); i >= 0 {
			tie(h.value, fmt.Sprintf("the header %s: %s", h.key, h.value.name), c.headers[i].d)
			continue
		}
		c.headers = append(c.headers, headerClaim{h.key, h.value.name, d})
	}
	for _, t := range u.claim.topics {
		c.addTopic(t, d)
	}
	for _, p := range u.claim.programs {
		if o := c.programs[p.name]; o != nil {
			tie(p, "the program "+p.name, o)
			continue
		}
		c.programs[p.name] = d
	}
	c.addShape(u, d)
}

func tie(at nameAt, what string, other *Dataset) {
	at.node.Errorf("%s is claimed by the dataset %s too", what, other.Name).Hint("let one of them claim something more exact")
}

// tell makes topics those of datasets, whatever datasets claim themselves.
func (c *claims) tell(topics map[string]string, byName map[string]*Dataset) {
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		if d := byName[topics[name]]; d != nil {
			c.told = append(c.told, newTopicClaim(nameAt{name: name}, d))
		}
	}
	slices.SortStableFunc(c.told, byRank)
}

func newTopicClaim(t nameAt, d *Dataset) topicClaim {
	return topicClaim{glob: t.name, at: t, d: d, exact: !glob.Is(t.name), bytes: len(t.name) - strings.Count(t.name, "*") - strings.Count(t.name, "?")}
}

// byRank puts what is more exact first.
func byRank(a, b topicClaim) int {
	if a.exact != b.exact {
		if a.exact {
			return -1
		}
		return 1
	}
	return b.bytes - a.bytes
}

func (c *claims) addTopic(t nameAt, d *Dataset) {
	n := newTopicClaim(t, d)
	for _, o := range c.topics {
		if o.d != d && o.exact == n.exact && o.bytes == n.bytes && glob.Meet(o.glob, n.glob) {
			t.node.Errorf("the topics %s may be claimed by the dataset %s too, as %s", t.name, o.d.Name, o.glob).Hint("let one of them be longer, or name a topic without *")
			return
		}
	}
	c.topics = append(c.topics, n)
	slices.SortStableFunc(c.topics, byRank)
}

func (c *claims) addShape(u *Unit, d *Dataset) {
	if len(u.claim.json) > 0 {
		n := jsonClaim{n: len(u.claim.json), d: d, each: u.unwrap.each}
		for _, k := range u.claim.json {
			if c.keys[k] == 0 {
				if len(c.keys) >= maxKeys {
					u.claim.jsonAt.Errorf("the shapes of all datasets name more than %d members", maxKeys)
					return
				}
				c.keys[k] = 1 << len(c.keys)
			}
			n.need |= c.keys[k]
		}
		if i := slices.IndexFunc(c.json, func(o jsonClaim) bool { return o.need == n.need }); i >= 0 {
			tie(nameAt{node: u.claim.jsonAt}, "JSON with just these members", c.json[i].d)
			return
		}
		c.json = append(c.json, n)
		slices.SortStableFunc(c.json, func(a, b jsonClaim) int { return b.n - a.n })
	}
	if p := u.claim.pattern; p != nil {
		if i := slices.IndexFunc(c.patterns, func(o patternClaim) bool { return o.p.String() == p.String() }); i >= 0 {
			tie(u.claim.src, "what fits this pattern", c.patterns[i].d)
			return
		}
		c.patterns = append(c.patterns, patternClaim{p, d})
	}
	switch u.claim.any {
	case "json":
		c.anyJSON = onlyOne(c.anyJSON, d, u)
	case "text":
		c.anyText = onlyOne(c.anyText, d, u)
	}
}

func onlyOne(have, d *Dataset, u *Unit) *Dataset {
	if have != nil {
		tie(nameAt{node: u.claim.anyAt}, "all that nobody claims", have)
		return have
	}
	return d
}

// topic is the dataset that claims a topic, or nil.
func (c *claims) topic(name string) *Dataset {
	for _, claims := range [][]topicClaim{c.told, c.topics} {
		for i := range claims {
			if glob.Match(claims[i].glob, name) {
				return claims[i].d
			}
		}
	}
	return nil
}

// document is the dataset that claims a JSON object by its members, or nil.
func (c *claims) document(data []byte) *Dataset {
	if len(c.json) == 0 {
		return nil
	}
	var mask uint64
	var inner *Dataset
	for m := decode.NewMembers(data); ; {
		key, value, ok := m.Next()
		if !ok {
			break
		}
		mask |= c.keys[string(key)]
		if value[0] == '[' && inner == nil {
			inner = c.envelope(key, value)
		}
	}
	if d := c.best(mask); d != nil {
		return d
	}
	return inner
}

func (c *claims) best(mask uint64) *Dataset {
	for i := range c.json {
		if mask&c.json[i].need == c.json[i].need {
			return c.json[i].d
		}
	}
	return nil
}

// envelope is the dataset whose events the array under a key holds, judged by its first element.
func (c *claims) envelope(key, array []byte) *Dataset {
	if !slices.ContainsFunc(c.json, func(j jsonClaim) bool { return j.each == string(key) }) {
		return nil
	}
	elements := decode.NewMembers(array)
	_, first, ok := elements.Next()
	if !ok || first[0] != '{' {
		return nil
	}
	var mask uint64
	for m := decode.NewMembers(first); ; {
		k, _, ok := m.Next()
		if !ok {
			break
		}
		mask |= c.keys[string(k)]
	}
	if d := c.best(mask); d != nil && d.eachKey == string(key) {
		return d
	}
	return nil
}

// line is the dataset that claims a text by its pattern, or nil.
func (c *claims) line(m *decode.Match, s string) *Dataset {
	for i := range c.patterns {
		if p := c.patterns[i].p; strings.HasPrefix(s, p.Prefix()) && m.Run(p, s) {
			return c.patterns[i].d
		}
	}
	return nil
}
