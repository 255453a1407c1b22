// Package realtest hands tests real servers: an Apache Kafka, an Elasticsearch, a PostgreSQL.
//
// A server comes from the first of these that works: an address in the environment (KLAXON_TEST_KAFKA, host:port[,host:port];
// KLAXON_TEST_ELASTICSEARCH and KLAXON_TEST_POSTGRES, URLs); a container, where a Docker engine answers; a local process, from packages
// that Maven fetches once and that stay in a cache, or, PostgreSQL, from what the system has installed. Where none works the test is
// skipped and prints why, unless KLAXON_TEST_REQUIRE (kafka,elasticsearch,postgres) names the server: then the test fails.
// `go test -short` skips such tests without trying.
//
//	func TestReal(t *testing.T) {
//		servers := realtest.New()
//		t.Cleanup(servers.Close)
//		t.Run("produce", func(t *testing.T) { produce(t, servers.Kafka(t).Brokers) })
//	}
//
// A broker with security, and a cluster of several, are always local processes of the test's own.
//
// Servers listen on loopback only, hold throw-away data, and die with the test process.
package realtest
