package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/klaxonhq/klaxon/archive"
)

var errCrash = errors.New("the process was killed")

// memory is a bucket that can crash: after so many operations each of them fails, and the last one before may or may not have
// been carried out.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	left    int // operations until the crash; negative: no crash
	done    bool
	crash   func()
}

func newMemory() *memory { return &memory{objects: map[string][]byte{}, left: -1} }

func (m *memory) crashAfter(operations int, carriedOut bool, crash func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left, m.done, m.crash = operations, carriedOut, crash
}

// step says whether the operation is carried out, and whether anybody hears of it. The caller holds the mutex.
func (m *memory) step() (carriedOut bool, err error) {
	if m.left < 0 {
		return true, nil
	}
	if m.left == 0 {
		m.crash()
		carriedOut, m.done = m.done, false
		return carriedOut, errCrash
	}
	m.left--
	return true, nil
}

func (m *memory) PutIfAbsent(_ context.Context, name string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	carriedOut, err := m.step()
	if _, taken := m.objects[name]; taken && err == nil {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	} else if carriedOut && !taken {
		m.objects[name] = slices.Clone(data)
	}
	return err
}

func (m *memory) Get(_ context.Context, name string, offset, length int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.step(); err != nil {
		return nil, err
	}
	b, ok := m.objects[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if length < 0 {
		length = int64(len(b)) - offset
	}
	return slices.Clone(b[offset:][:length]), nil
}

func (m *memory) List(_ context.Context, folder string) ([]archive.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.step(); err != nil {
		return nil, err
	}
	set := map[archive.Entry]bool{}
	for name := range m.objects {
		rest := name
		if folder != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(name, folder+"/"); !ok {
				continue
			}
		}
		first, _, isFolder := strings.Cut(rest, "/")
		set[archive.Entry{Name: first, Folder: isFolder}] = true
	}
	var out []archive.Entry
	for e := range set {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b archive.Entry) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// names is every object's name, sorted.
func (m *memory) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for name := range m.objects {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
