package detectors

import "github.com/klaxonhq/klaxon/internal/varint"

// reader reads checkpoints.
type reader = varint.Reader
