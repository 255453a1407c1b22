package traffic

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
)

// tenantSpec is a customer and where its people and visitors live.
type tenantSpec struct {
	name, domain, account, region string
	offices                       [2]string // addresses that many people share
	blocks                        []block
}

// block is addresses of one country: an IPv4 /16, or a prefix of IPv6.
type block struct {
	v4 [2]byte
	v6 string
}

// The countries are those of the embedded country table; a test holds that none of them is on the shipped embargo list, and that some
// are neighbours of those that are: Türkiye, Iraq, Jordan, Lebanon, South Korea, Mexico, the Dominican Republic.
var tenantSpecs = [...]tenantSpec{
	{"acme", "acme.example", "111122223333", "eu-central-1", [2]string{"2.28.114.9", "2.160.31.77"}, []block{
		{v4: [2]byte{2, 28}}, {v4: [2]byte{2, 30}}, {v4: [2]byte{2, 160}}, {v4: [2]byte{5, 24}}, {v4: [2]byte{37, 236}}, {v4: [2]byte{2, 3}}, {v4: [2]byte{5, 184}}, {v6: "2a01:4f8:"}, {v6: "2a02:ff0:"}}},
	{"globex", "globex.example", "222233334444", "us-east-1", [2]string{"2.1.44.18", "3.96.201.5"}, []block{
		{v4: [2]byte{2, 0}}, {v4: [2]byte{2, 1}}, {v4: [2]byte{2, 2}}, {v4: [2]byte{3, 96}}, {v4: [2]byte{35, 28}}, {v4: [2]byte{148, 101}}, {v4: [2]byte{4, 160}}, {v6: "2600:1f00:"}, {v6: "2804:14c:"}}},
	{"initech", "initech.example", "333344445555", "ap-northeast-2", [2]string{"1.11.60.4", "1.33.97.200"}, []block{
		{v4: [2]byte{1, 11}}, {v4: [2]byte{1, 19}}, {v4: [2]byte{1, 33}}, {v4: [2]byte{1, 66}}, {v4: [2]byte{1, 22}}, {v4: [2]byte{176, 29}}, {v4: [2]byte{178, 135}}, {v6: "2001:2d8:"}, {v6: "2400:4050:"}}},
}

var firstNames = [...]string{"alice", "bjorn", "carla", "dmitri", "elena", "farid", "grace", "hiro", "ines", "jonas", "kofi", "lena", "mateo", "nadia", "oscar"}

var lastNames = [...]string{"weber", "tanaka", "rossi", "silva", "novak", "haddad", "okafor", "larsen", "kim", "dubois", "yilmaz", "murphy", "costa", "patel", "lopez", "meyer"}

// The people of a tenant: everybody uses the application, the first of them administer.
const (
	peopleCount = len(firstNames) * len(lastNames)
	adminCount  = 24
)

type person struct {
	login, email, id string
	key              []byte
}

// tenant is a customer with its people and machines.
type tenant struct {
	*tenantSpec
	headers    map[string]string
	people     []person
	web, hosts []string
	webKeys    [][]byte
	hostKeys   [][]byte
	accountKey []byte
}

func newTenant(rng *rand.Rand, n int) *tenant {
	t := &tenant{tenantSpec: &tenantSpecs[n]}
	t.headers = map[string]string{TenantHeader: t.name}
	t.accountKey = []byte(t.account)
	for _, i := range rng.Perm(peopleCount) {
		login := firstNames[i%len(firstNames)] + "." + lastNames[i/len(firstNames)]
		id := fmt.Sprintf("u-%d%04d", n+1, i)
		t.people = append(t.people, person{login: login, email: login + "@" + t.domain, id: id, key: []byte(id)})
	}
	for i := 1; i <= 4; i++ {
		t.web = append(t.web, fmt.Sprintf("web%d.%s", i, t.domain))
	}
	for _, role := range []string{"bastion1", "bastion2", "db1", "db2", "build1", "queue1"} {
		t.hosts = append(t.hosts, role+"."+t.domain)
	}
	t.webKeys, t.hostKeys = keys(t.web), keys(t.hosts)
	return t
}

func keys(names []string) [][]byte {
	out := make([][]byte, len(names))
	for i, n := range names {
		out[i] = []byte(n)
	}
	return out
}

// tenant is one of the tenants; the first is the largest.
func (g *Generator) tenant() *tenant {
	n := g.rng.IntN(10)
	switch {
	case n < 5:
		return g.tenants[0]
	case n < 8:
		return g.tenants[1]
	}
	return g.tenants[2]
}

// person is somebody of a tenant; some are busier than others.
func (g *Generator) person(t *tenant) *person {
	return &t.people[min(g.rng.IntN(peopleCount), g.rng.IntN(peopleCount))]
}

func (g *Generator) admin(t *tenant) *person { return &t.people[g.rng.IntN(adminCount)] }

// appendVisitor appends the address of somebody out there.
func (g *Generator) appendVisitor(b []byte, t *tenant) []byte {
	bl := &t.blocks[g.rng.IntN(len(t.blocks))]
	r := g.rng.Uint64()
	if bl.v6 != "" {
		return appendV6(b, bl.v6, r)
	}
	return appendV4(b, bl.v4, r)
}

func appendV4(b []byte, net [2]byte, r uint64) []byte {
	for _, n := range [...]byte{net[0], net[1], byte(r)} {
		b = append(strconv.AppendUint(b, uint64(n), 10), '.')
	}
	return strconv.AppendUint(b, r>>8%254+1, 10)
}

func appendV6(b []byte, net string, r uint64) []byte {
	b = append(b, net...)
	b = strconv.AppendUint(b, r&0xfff|0x1000, 16)
	b = append(b, "::"...)
	return strconv.AppendUint(b, r>>16&0xffff|1, 16)
}

func (g *Generator) visitor(t *tenant) string { return string(g.appendVisitor(nil, t)) }

// hostile is an address of an attacker's: hosting companies in countries that nobody forbids.
func (g *Generator) hostile() string {
	return string(appendV4(nil, hostileNets[g.rng.IntN(len(hostileNets))], g.rng.Uint64()))
}

var hostileNets = [...][2]byte{{4, 175}, {4, 180}, {3, 248}, {9, 163}, {2, 60}, {1, 96}}

// embargoed is an address in a country that is on the shipped embargo list.
func (g *Generator) embargoed(v6 bool) string {
	r := g.rng.Uint64()
	if v6 {
		return string(appendV6(nil, embargoedNets6[g.rng.IntN(len(embargoedNets6))], r))
	}
	return string(appendV4(nil, embargoedNets[g.rng.IntN(len(embargoedNets))], r))
}

// Iran, Syria, Cuba.
var embargoedNets = [...][2]byte{{2, 144}, {2, 145}, {5, 0}, {31, 9}, {152, 206}, {152, 207}}

// Iran.
var embargoedNets6 = [...]string{"2a01:5ec0:", "2a03:ef40:"}

// canonical is an address in its shortest form, which is how events hold it.
func canonical(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return s
	}
	return a.String()
}

// appendJSON appends s as a JSON string.
func appendJSON(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// appendField appends `,"key":"value"`.
func appendField(b []byte, key, value string) []byte {
	b = append(b, ',')
	b = appendJSON(b, key)
	b = append(b, ':')
	return appendJSON(b, value)
}

// appendHex appends n hexadecimal digits, as ids are made of.
func (g *Generator) appendHex(b []byte, n int) []byte {
	const hex = "0123456789abcdef"
	var r uint64
	for i := range n {
		if i%16 == 0 {
			r = g.rng.Uint64()
		}
		b = append(b, hex[r&15])
		r >>= 4
	}
	return b
}

func (g *Generator) appendUUID(b []byte) []byte {
	for i, n := range [...]int{8, 4, 4, 4, 12} {
		if i > 0 {
			b = append(b, '-')
		}
		b = g.appendHex(b, n)
	}
	return b
}
