// Package kafka reads topics as members of a consumer group and writes messages to topics, on top of kafka-go's connections.
//
// Reading: [Client.Consume] joins a group and hands out a [Claim] for each generation that owns partitions. A claim fetches all of a
// leader's partitions with one request, checks checksums, hides aborted transactions and control records, and decodes into pooled
// memory: a batch is valid until it is released. Nothing is committed that the caller did not name.
//
// Writing: [Client.Produce] tries once and tells each partition's result, [Client.Send] retries until acknowledged.
//
// Errors carry the broker's or topic's name and what to do about them; see [Explain].
package kafka
