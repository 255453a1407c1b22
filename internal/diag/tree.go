package diag

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is os.DirFS of a folder whose files are named in diagnostics as they are on disk, so that an editor can open them.
func Dir(path string) fs.FS { return dir{os.DirFS(path), path} }

type dir struct {
	fs.FS
	path string
}

func (d dir) pathOf(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }

// FilePath is how diagnostics name a file of a tree: with the folder where the tree was made by Dir, else the name alone.
func FilePath(tree fs.FS, name string) string {
	if d, ok := tree.(dir); ok {
		return d.pathOf(name)
	}
	return name
}
