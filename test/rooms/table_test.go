package rooms

// room is one part of the house: a folder of the module and everything below it.
type room struct {
	path string   // from the module's root
	may  []string // the rooms it may import, beside itself and `internal`
	pure bool     // no goroutine, no clock, no I/O beyond reading the files it is given: time is an argument
	why  string   // what the room is there for, which decides what it needs to know of the others
}

// everything stands for all rooms.
const everything = "*"

// table returns the map of the house. To change it is to change the architecture: give a reason in the same commit.
func table() []room {
	return []room{
		{path: "event", pure: true,
			why: "the normalised record; everybody speaks it, so it knows nobody"},
		{path: "ingest", may: []string{"event"},
			why: "bytes become events; conditions are given to it compiled, so that reading logs never depends on the rule engine"},
		{path: "rules", may: []string{"event"}, pure: true,
			why: "which rules an event meets; where events came from and what becomes of a match is none of its business"},
		{path: "hit", may: []string{"event"}, pure: true,
			why: "what the match loop tells the detect loop, as bytes of a log"},
		{path: "alert", may: []string{"event"}, pure: true,
			why: "what a detector says; it outlives rules, so it does not refer to them"},
		{path: "detectors", may: []string{"rules", "hit", "alert", "event"}, pure: true,
			why: "memory: frames in, alerts out; a replay of the log is the same run again"},
		{path: "archive", may: []string{"event"},
			why: "stored records, whatever was thought of them"},
		{path: "incidents", may: []string{"alert", "event"},
			why: "alerts become work for people; it knows no rules, and no way to deliver"},
		{path: "sinks", may: []string{"event", "alert", "archive", "incidents"},
			why: "one outside system a folder; see sinks_test.go for what else holds there"},
		{path: "pipeline", may: []string{"ingest", "rules", "hit", "detectors", "alert", "event"},
			why: "the four loops; what they need of the archive, the book and the sinks are small interfaces of its own"},
		{path: "rules.d",
			why: "the rules that ship, as files; a package only where they are embedded"},
		{path: "internal",
			why: "helpers that any room may use, and that therefore import none"},
		{path: "cmd/klaxon", may: []string{everything},
			why: "wiring: the one place that sees the whole house"},
		{path: "bench", may: []string{everything},
			why: "measures the rooms as they are wired"},
		{path: "test", may: []string{everything},
			why: "tests of the whole"},
	}
}

// only says who may import a module from outside. A package under one of the paths may; others may not.
type only struct {
	module string
	paths  []string
	why    string
}

// outside returns what is held about dependencies; what is not named here may be imported anywhere that is not pure.
func outside() []only {
	return []only{
		{module: "github.com/elastic/go-elasticsearch", paths: []string{"sinks/elasticsearch"},
			why: "it is most of the build: one package pays for it"},
		{module: "github.com/prometheus/client_golang",
			paths: []string{"cmd/klaxon", "pipeline", "ingest/kafka", "sinks", "incidents/sqlite", "incidents/postgres", "test", "bench"},
			why:   "rooms return Stats(); only wiring and adapters know who scrapes them"},
		{module: "github.com/twmb/franz-go", paths: []string{"internal/broker", "ingest/kafka/kafkatest", "test", "bench"},
			why: "the embedded broker, and a second opinion for the contract suite; the product's client is kafka-go, or there are two sets of bugs"},
		{module: "github.com/segmentio/kafka-go", paths: []string{"ingest/kafka", "internal/realtest", "cmd/klaxon", "test", "bench"},
			why: "one adapter to Kafka"},
		{module: "github.com/oschwald/maxminddb-golang", paths: []string{"ingest/enrich", "test", "bench"},
			why: "one reader of databases of addresses, which checks them when it opens them"},
		{module: "github.com/maxmind/mmdbwriter", paths: []string{"internal/mmdbtest", "test", "bench"},
			why: "the product reads databases; tests make them"},
		{module: "github.com/jackc/pgx", paths: []string{"incidents/postgres", "internal/realtest", "test", "bench"},
			why: "one package a store"},
		{module: "modernc.org/sqlite", paths: []string{"incidents/sqlite", "test", "bench"},
			why: "one package a store"},
	}
}

// impure names the packages that a pure room has no use for. Reading files (os, io/fs) is allowed: rules are files.
func impure() []string {
	return []string{
		"net", "net/http", "os/exec", "os/signal", "database/sql", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand",
		"go.uber.org/zap", "github.com/prometheus/client_golang", "github.com/segmentio/kafka-go", "testing",
	}
}

// clocks names the functions of package time that ask what time it is or wait for one.
func clocks() []string {
	return []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
}
