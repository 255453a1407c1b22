package datasets

import (
	"embed"
	"io/fs"
)

//go:embed shipped/*.yaml
var shippedFiles embed.FS

// Shipped is the units that come with klaxon, a file each.
func Shipped() fs.FS { return shippedFiles }
