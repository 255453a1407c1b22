package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// tempFolder holds what is being written. Names in it are never those of folders of the archive.
const tempFolder = ".tmp"

// tornAfter is how old a file that was never finished is when it is removed: nobody takes so long to write one.
const tornAfter = 10 * time.Minute

// Dir is a bucket in a local folder. Several processes may use the same folder. It is safe for concurrent use.
type Dir struct {
	root string
	link func(old, name string) error // os.Link

	mu   sync.Mutex      // over what has no hard links: between looking and renaming
	made map[string]bool // folders that are known to survive a power cut
}

// maxMade bounds what Dir remembers of the folders that it made.
const maxMade = 4096

// OpenDir opens a folder as a bucket, made if need be, and removes what a crash left half written there.
func OpenDir(path string) (*Dir, error) {
	root, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot find the archive's folder %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Join(root, tempFolder), 0o750); err != nil {
		return nil, fmt.Errorf("cannot make the archive's folder: %w", err)
	}
	d := &Dir{root: root, link: os.Link, made: map[string]bool{}}
	return d, d.sweep(time.Now())
}

// sweep removes files that were never finished.
func (d *Dir) sweep(now time.Time) error {
	temp := filepath.Join(d.root, tempFolder)
	entries, err := os.ReadDir(temp)
	if err != nil {
		return fmt.Errorf("cannot read the archive's folder: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || now.Sub(info.ModTime()) < tornAfter {
			continue // another process has just removed it, or is writing it
		}
		if err := os.Remove(filepath.Join(temp, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove what a crash left: %w", err)
		}
	}
	return nil
}

// path is where an object is. A name that leads out of the folder is refused.
func (d *Dir) path(name string) (string, error) {
	if name != "" && !fs.ValidPath(name) {
		return "", fmt.Errorf("%q is no name of an object", name)
	}
	return filepath.Join(d.root, filepath.FromSlash(name)), nil
}

// PutIfAbsent writes the object to a file of another name, makes that durable, and links it to its own name.
func (d *Dir) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	to, err := d.path(name)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	temp, err := d.writeTemp(data)
	if err != nil {
		return fmt.Errorf("cannot write to the archive: %w", err)
	}
	err = d.place(temp, to)
	if removed := os.Remove(temp); err == nil && removed != nil && !errors.Is(removed, fs.ErrNotExist) {
		err = removed
	}
	if err != nil {
		return fmt.Errorf("cannot write %s to the archive: %w", name, err)
	}
	return nil
}

func (d *Dir) writeTemp(data []byte) (path string, err error) {
	f, err := os.CreateTemp(filepath.Join(d.root, tempFolder), "put-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o640)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// place gives a written file its name, if nothing has it.
func (d *Dir) place(temp, to string) error {
	folder := filepath.Dir(to)
	if err := d.makeFolder(folder); err != nil {
		return err
	}
	err := d.link(temp, to)
	if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		err = d.rename(temp, to) // a file system without hard links
	}
	if err != nil {
		return err
	}
	return syncFolder(folder)
}

// rename is place for one process alone.
func (d *Dir) rename(temp, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := os.Lstat(to); err == nil {
		return fs.ErrExist
	}
	return os.Rename(temp, to)
}

// makeFolder makes a folder and those above it, and makes their names durable.
func (d *Dir) makeFolder(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.made[path] {
		return nil
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return err
	}
	for p := path; p != d.root; p = filepath.Dir(p) {
		if err := syncFolder(filepath.Dir(p)); err != nil {
			return err
		}
	}
	if len(d.made) >= maxMade {
		clear(d.made)
	}
	d.made[path] = true
	return nil
}

// Get reads a part of a file.
func (d *Dir) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := d.path(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read from the archive: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read from the archive: %w", err)
	}
	if length < 0 {
		length = max(0, info.Size()-offset)
	}
	if offset < 0 || offset+length > info.Size() {
		return nil, fmt.Errorf("cannot read %s: %w", name, damaged("%d bytes at byte %d are wanted of %d", length, offset, info.Size()))
	}
	b := make([]byte, length)
	if _, err := f.ReadAt(b, offset); err != nil && !(errors.Is(err, io.EOF) && length == 0) {
		return nil, fmt.Errorf("cannot read from the archive: %w", err)
	}
	return b, nil
}

// List reads a folder.
func (d *Dir) List(ctx context.Context, folder string) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := d.path(folder)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the archive: %w", err)
	}
	out := make([]Entry, 0, len(entries))
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			out = append(out, Entry{e.Name(), e.IsDir()})
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
