//go:build race

package ingest

// poolAllocations is how many allocations a record may take where a dataset's conditions use a sync.Pool: the race detector makes pools
// drop what they are given, at random.
const poolAllocations = 8
