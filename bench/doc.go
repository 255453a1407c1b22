// Package bench measures the archive and match loops: events a second on one core, and how many times that is what a straightforward
// program reaches that does the same work the usual way. It holds tests and benchmarks only; README.md says how to read them.
package bench
