package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
)

// start is when the records of these tests begin: ten minutes before an hour ends.
var start = time.Date(2026, 11, 24, 9, 50, 0, 0, time.UTC).UnixMilli()

// doc is a document of the partition logs-0.
func doc(offset int64, received, at int64, fields string) Document {
	id := event.ID{Topic: "logs", Partition: 0, Offset: offset, Time: received}
	return docOf(id, at, fields)
}

func docOf(id event.ID, at int64, fields string) Document {
	if fields != "" {
		fields = "," + fields
	}
	body := fmt.Sprintf(`{"@timestamp":%q,"event":{"dataset":"nginx.access","original":"line %d"},"klaxon":{"id":%q,"tenant":"acme"}%s}`,
		event.AppendTime(nil, at), id.Offset, id, fields)
	return Document{ID: id, Time: at, Body: []byte(body)}
}

func keyFor(d Document) Key {
	return Key{Tenant: "acme", Dataset: "nginx.access", Hour: HourOf(d.ID.Time), Topic: d.ID.Topic, Partition: d.ID.Partition}
}

// store writes documents, those of one hour in one segment.
func store(t testing.TB, b Bucket, docs ...Document) {
	t.Helper()
	w, err := NewWriter(b, 1)
	if err != nil {
		t.Fatal(err)
	}
	byKey := map[Key][]Document{}
	for _, d := range docs {
		byKey[keyFor(d)] = append(byKey[keyFor(d)], d)
	}
	for k, docs := range byKey {
		if _, err := w.Stream(k).Put(t.Context(), docs); err != nil {
			t.Fatal(err)
		}
	}
}

func openDir(t testing.TB) (*Dir, *Reader) {
	t.Helper()
	dir, err := OpenDir(filepath.Join(t.TempDir(), "archive"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir.root)
	if err != nil {
		t.Fatal(err)
	}
	return dir, r
}

// offsets searches and answers the offsets found, in their order.
func offsets(t testing.TB, r *Reader, q Query) ([]int64, *Report) {
	t.Helper()
	got := []int64{}
	report, err := r.Search(t.Context(), q, func(doc []byte, e *event.Event) error {
		got = append(got, e.ID.Offset)
		if want := fmt.Sprintf("line %d", e.ID.Offset); e.Text(event.Original) != want || !strings.Contains(string(doc), want) {
			t.Errorf("the document of offset %d is %s", e.ID.Offset, doc)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, report
}

func TestSearch(t *testing.T) {
	dir, r := openDir(t)
	const minute = 60_000
	store(t, dir,
		doc(1, start, start-2*minute, `"source":{"ip":"192.0.2.7"}`),
		doc(2, start+minute, start+minute, `"source":{"ip":"192.0.2.8"},"user":{"name":"Alice"}`),
		doc(3, start+2*minute, start-90*minute, `"user":{"name":"bob"}`), // late
		doc(4, start+15*minute, start+14*minute, `"http":{"response":{"status_code":404}}`),
		doc(5, start+16*minute, start+16*minute, `"source":{"ip":"2001:db8::1"}`))
	schema, err := ecs.Schema()
	if err != nil {
		t.Fatal(err)
	}
	status := schema.ID("http.response.status_code")
	at := func(m int64) time.Time { return time.UnixMilli(start + m*minute) }
	tests := []struct {
		name string
		q    Query
		want []int64
	}{
		{"everything, oldest first", Query{}, []int64{3, 1, 2, 4, 5}},
		{"newest first", Query{Newest: true}, []int64{5, 4, 2, 1, 3}},
		{"by record time", Query{ByRecordTime: true}, []int64{1, 2, 3, 4, 5}},
		{"from", Query{From: at(1)}, []int64{2, 4, 5}},
		{"to", Query{To: at(1)}, []int64{3, 1, 2}},
		{"record time from and to", Query{From: at(2), To: at(15), ByRecordTime: true}, []int64{3, 4}},
		{"nothing so early", Query{To: at(-1000)}, []int64{}},
		{"tenant", Query{Tenants: []string{"acme"}}, []int64{3, 1, 2, 4, 5}},
		{"another tenant", Query{Tenants: []string{"acm"}}, []int64{}},
		{"another dataset", Query{Datasets: []string{"nginx"}}, []int64{}},
		{"match", Query{Match: func(e *event.Event) bool {
			v := e.First(status)
			return v != nil && v.Int() == 404
		}}, []int64{4}},
		{"a needle leaves out whole segments", Query{Needles: []Needle{{"source.ip", []string{"2001:0DB8::0001"}}}}, []int64{4, 5}},
		{"whatever the case", Query{Needles: []Needle{{"user.name", []string{"alice"}}}}, []int64{3, 1, 2}},
		{"one of the values", Query{Needles: []Needle{{"user.name", []string{"nobody", "ALICE"}}}}, []int64{3, 1, 2}},
		{"both needles", Query{Needles: []Needle{{"user.name", []string{"alice"}}, {"source.ip", []string{"2001:db8::1"}}}}, []int64{}},
		{"a field without a filter", Query{Needles: []Needle{{"http.request.body.content", []string{"x"}}}}, []int64{3, 1, 2, 4, 5}},
		{"what is no address", Query{Needles: []Needle{{"source.ip", []string{"here"}}}}, []int64{3, 1, 2, 4, 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, workers := range []int{1, 3} {
				tt.q.Workers, tt.q.Schema = workers, schema
				if got, report := offsets(t, r, tt.q); !slices.Equal(got, tt.want) || len(report.Damages) > 0 || report.Disordered {
					t.Errorf("%d workers: found %v, want %v; %+v", workers, got, tt.want, report)
				}
			}
		})
	}
	if n, err := r.Count(t.Context()); n != 5 || err != nil {
		t.Errorf("Count = %d, %v", n, err)
	}
}

func TestSearchEnds(t *testing.T) {
	dir, r := openDir(t)
	for i := range int64(20) {
		store(t, dir, doc(i, start+i, start+i, ""))
	}
	for _, want := range []error{ErrStop, errors.New("enough")} {
		n := 0
		_, err := r.Search(t.Context(), Query{}, func([]byte, *event.Event) error {
			if n++; n == 7 {
				return want
			}
			return nil
		})
		if n != 7 || errors.Is(want, ErrStop) != (err == nil) || err != nil && !errors.Is(err, want) {
			t.Errorf("%d documents, then %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := r.Search(ctx, Query{}, func([]byte, *event.Event) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a search that was cancelled answers %v", err)
	}
}

// Overlapping segments come out in the order of time, and memory bounds how long that is waited for.
func TestSearchOrder(t *testing.T) {
	dir, r := openDir(t)
	for segment := range int64(8) {
		var docs []Document
		for i := range int64(50) {
			offset := segment*50 + i
			docs = append(docs, doc(offset, start+offset, start+offset*7919%400, ""))
		}
		store(t, dir, docs...)
	}
	last := int64(-1)
	report, err := r.Search(t.Context(), Query{Workers: 2}, func(_ []byte, e *event.Event) error {
		if e.Time < last {
			t.Errorf("%d comes after %d", e.Time, last)
		}
		last = e.Time
		return nil
	})
	if err != nil || report.Found != 400 || report.Disordered || report.Segments != 8 {
		t.Errorf("%+v, %v", report, err)
	}
	got, report := offsets(t, r, Query{Workers: 2, MaxHeld: 1000, Newest: true})
	if !report.Disordered || len(got) != 400 {
		t.Errorf("with little memory %d are found; %+v", len(got), report)
	}
}

func TestSearchDamage(t *testing.T) {
	big := `"message":"` + strings.Repeat("x", 100_000) + `"`
	write := func(t *testing.T) (*Reader, string, string) {
		dir, r := openDir(t)
		var docs []Document
		for i := range int64(9) {
			docs = append(docs, doc(i, start+i, start+i, big)) // three blocks of three
		}
		store(t, dir, docs...)
		store(t, dir, doc(100, start+100, start+100, ""))
		folder := filepath.Join(dir.root, filepath.FromSlash(keyFor(docs[0]).folder()))
		return r, filepath.Join(folder, "logs-0-00000000000000000000.ndjson.zst"), filepath.Join(folder, "logs-0-00000000000000000000.index")
	}
	all := []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 100}
	tests := []struct {
		name    string
		harm    func(t *testing.T, data, index string)
		want    []int64
		damages int
	}{
		{"none", func(*testing.T, string, string) {}, all, 0},
		{"no index", func(t *testing.T, _, index string) { remove(t, index) }, all, 0},
		{"a torn index", func(t *testing.T, _, index string) { change(t, index, func(b []byte) []byte { return b[:len(b)/2] }) }, all, 0},
		{"an index with a flipped bit", func(t *testing.T, _, index string) { change(t, index, flip(20)) }, all, 0},
		{"an empty index", func(t *testing.T, _, index string) { change(t, index, func([]byte) []byte { return nil }) }, all, 0},
		{"a flipped bit in the second block", func(t *testing.T, data, _ string) {
			change(t, data, func(b []byte) []byte { return flip(len(b) / 2)(b) })
		}, []int64{0, 1, 2, 6, 7, 8, 100}, 1},
		{"cut short", func(t *testing.T, data, _ string) {
			change(t, data, func(b []byte) []byte { return b[:len(b)-5] })
		}, []int64{0, 1, 2, 3, 4, 5, 100}, 1},
		{"cut short, and no index", func(t *testing.T, data, index string) {
			remove(t, index)
			change(t, data, func(b []byte) []byte { return b[:len(b)-5] })
		}, []int64{0, 1, 2, 3, 4, 5, 100}, 1},
		{"garbage, and no index", func(t *testing.T, data, index string) {
			remove(t, index)
			change(t, data, func(b []byte) []byte { return []byte("garbage") })
		}, []int64{100}, 1},
		{"no segment beside its index", func(t *testing.T, data, _ string) { remove(t, data) }, []int64{100}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, data, index := write(t)
			tt.harm(t, data, index)
			got, report := offsets(t, r, Query{})
			if !slices.Equal(got, tt.want) || len(report.Damages) != tt.damages {
				t.Errorf("found %v, want %v; %v", got, tt.want, report.Damages)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func change(t *testing.T, path string, how func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, how(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at] ^= 4
		return b
	}
}

// A segment is NDJSON in zstd: a reader that knows no more reads it, and so does the tool where it is installed.
func TestZstdReadsSegments(t *testing.T) {
	dir, _ := openDir(t)
	docs := []Document{doc(0, start, start, ""), doc(1, start, start, ""), doc(2, start, start, `"message":"`+strings.Repeat("ä", 200_000)+`"`), doc(3, start, start, "")}
	store(t, dir, docs...)
	path := filepath.Join(dir.root, filepath.FromSlash(keyFor(docs[0]).base(positionOf(docs[0].ID), 0)+dataSuffix))
	var want []byte
	for _, d := range docs {
		want = append(append(want, d.Body...), '\n')
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if got, err := io.ReadAll(z); err != nil || string(got) != string(want) {
		t.Errorf("a stream of zstd has %d bytes of %d: %v", len(got), len(want), err)
	}
	if tool, err := exec.LookPath("zstd"); err == nil {
		if got, err := exec.Command(tool, "-dc", path).Output(); err != nil || string(got) != string(want) {
			t.Errorf("zstd -dc has %d bytes of %d: %v", len(got), len(want), err)
		}
	}
}

func TestOpenNothing(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
