//go:build !race

package rules

// poolAllocations is how many allocations a test that uses a sync.Pool may see: none.
const poolAllocations = 0
