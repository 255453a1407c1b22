//go:build race

package rules

// poolAllocations is how many allocations a test that uses a sync.Pool may see: the race detector makes pools drop what they are
// given, at random, and a fresh event takes a few.
const poolAllocations = 8
