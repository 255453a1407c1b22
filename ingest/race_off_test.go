//go:build !race

package ingest

// poolAllocations is how many allocations a record may take where a dataset's conditions use a sync.Pool: none.
const poolAllocations = 0
