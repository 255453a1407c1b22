package diag

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
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

// Walk calls each with every file of a tree whose name ends in one of the extensions, in the order of their names, and reports in
// list what cannot be read. File is how diagnostics name it. Hidden files and folders are left out: editors keep copies there, and
// so do volumes of Kubernetes.
func Walk(tree fs.FS, extensions []string, list *List, each func(file string, data []byte)) {
	broken := func(name string, err error) {
		*list = append(*list, Diagnostic{File: FilePath(tree, name), Message: fmt.Sprintf("cannot be read: %v", err), Hint: "check the path and its permissions"})
	}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			broken(name, err)
			return nil
		}
		hidden := strings.HasPrefix(d.Name(), ".") && name != "."
		switch {
		case hidden && d.IsDir():
			return fs.SkipDir
		case hidden || d.IsDir() || !slices.Contains(extensions, path.Ext(name)):
			return nil
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			broken(name, err)
			return nil
		}
		each(FilePath(tree, name), data)
		return nil
	})
	if err != nil {
		broken(".", err)
	}
}
