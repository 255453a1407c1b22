package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
)

// Reader searches an archive. It is safe for concurrent use, and sees what is written meanwhile or does not.
type Reader struct {
	bucket    Bucket
	codec     *codec
	summaries sync.Pool // of *summary
}

// Open opens the archive in a local folder for reading. A folder that is not there is an error, since nothing would ever be found.
func Open(dir string) (*Reader, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no folder")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the archive %s: %w", dir, err)
	}
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the archive %s: %w", dir, err)
	}
	return NewReader(&Dir{root: root, link: os.Link, made: map[string]bool{}})
}

// NewReader makes a reader of a bucket.
func NewReader(b Bucket) (*Reader, error) {
	c, err := newCodec(runtime.GOMAXPROCS(0))
	if err != nil {
		return nil, err
	}
	return &Reader{bucket: b, codec: c}, nil
}

// Segment is a segment that is there.
type Segment struct {
	Name  string // of the object that holds the documents
	Index *Index
}

// Segments calls each with the segments that can hold what q asks for, in the order of their names, until each returns an error. Damaged
// ones are answered, with what is known of them.
func (r *Reader) Segments(ctx context.Context, q Query, each func(Segment) error) ([]Damage, error) {
	p, err := newPlan(q)
	if err != nil {
		return nil, err
	}
	var damages []Damage
	err = r.walk(ctx, p, func(name string, _ Key) error {
		x, damage, err := r.index(ctx, name)
		if damage != nil {
			damages = append(damages, *damage)
		}
		if err != nil || x == nil || !p.wants(x) {
			return err
		}
		return each(Segment{name, x})
	})
	return damages, err
}

// Count is how many documents are stored. The error joins what is damaged; the number is of what can be read all the same.
func (r *Reader) Count(ctx context.Context) (int64, error) {
	var n int64
	damages, err := r.Segments(ctx, Query{}, func(s Segment) error {
		n += s.Index.Count
		return nil
	})
	errs := []error{err}
	for _, d := range damages {
		errs = append(errs, d)
	}
	return n, errors.Join(errs...)
}

// walk calls each with the names of segments, in the folders that p does not leave out.
func (r *Reader) walk(ctx context.Context, p *plan, each func(name string, k Key) error) error {
	return r.folders(ctx, "", "tenant=", p.tenant, func(tenant string) error {
		return r.folders(ctx, tenant, "dataset=", p.dataset, func(dataset string) error {
			return r.folders(ctx, dataset, "dt=", p.day, func(day string) error {
				hours := func(name string) bool { return p.hour(day[strings.LastIndexByte(day, '/')+1:], name) }
				return r.folders(ctx, day, "hour=", hours, func(hour string) error {
					return r.files(ctx, hour, each)
				})
			})
		})
	})
}

func (r *Reader) folders(ctx context.Context, in, prefix string, wanted func(name string) bool, each func(path string) error) error {
	entries, err := r.bucket.List(ctx, in)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Folder || !strings.HasPrefix(e.Name, prefix) || !wanted(e.Name) {
			continue
		}
		path := e.Name
		if in != "" {
			path = in + "/" + e.Name
		}
		if err := each(path); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) files(ctx context.Context, folder string, each func(name string, k Key) error) error {
	entries, err := r.bucket.List(ctx, folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Folder || !strings.HasSuffix(e.Name, dataSuffix) {
			continue
		}
		name := folder + "/" + e.Name
		if err := each(name, keyOf(name)); err != nil {
			return err
		}
	}
	return nil
}

// keyOf is what a segment's name says of its key. A text that was cut is not known, and is then "".
func keyOf(name string) Key {
	var k Key
	parts := strings.Split(name, "/")
	if len(parts) != 5 {
		return k
	}
	k.Tenant = unescape(strings.TrimPrefix(parts[0], "tenant="))
	k.Dataset = unescape(strings.TrimPrefix(parts[1], "dataset="))
	k.Hour, _ = hourOfFolder(parts[2], parts[3])
	if m := segmentName.FindStringSubmatch(parts[4]); m != nil {
		n, err := strconv.ParseInt(m[2], 10, 32)
		if err == nil {
			k.Topic, k.Partition = unescape(m[1]), int32(n)
		}
	}
	return k
}

var segmentName = regexp.MustCompile(`^(.*)-(\d+)-\d{20}\.(?:.*\.)?ndjson\.zst$`)

func unescape(s string) string {
	if strings.Contains(s, "~") {
		return ""
	}
	text, err := url.PathUnescape(s)
	if err != nil {
		return ""
	}
	return text
}

// index reads the index of a segment, and makes it anew from the segment where it is lost. Damage that leaves something to read comes
// with an index; where nothing is left, the index is nil.
func (r *Reader) index(ctx context.Context, name string) (*Index, *Damage, error) {
	x, err := getIndex(ctx, r.bucket, r.codec.dec, strings.TrimSuffix(name, dataSuffix))
	if err == nil {
		return x, nil, nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrDamaged) {
		return nil, nil, err
	}
	data, err := r.bucket.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, nil, err
	}
	s, err := r.summary()
	if err != nil {
		return nil, nil, err
	}
	defer r.summaries.Put(s)
	x, err = scan(r.codec, s, keyOf(name), data)
	if err == nil {
		return x, nil, nil
	}
	damage := &Damage{Name: name, Documents: -1, Err: err}
	if x.Count == 0 {
		x = nil
	}
	return x, damage, nil
}

func (r *Reader) summary() (*summary, error) {
	if s, ok := r.summaries.Get().(*summary); ok {
		return s, nil
	}
	return newSummary()
}

// defaultSchema is the schema of searches that name none.
func defaultSchema() (*event.Schema, error) { return ecs.Schema() }
