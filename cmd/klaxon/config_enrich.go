package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/klaxonhq/klaxon/ingest/enrich"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// EnrichConfig says what more is found out about addresses.
type EnrichConfig struct {
	GeoIP []DatabaseFile // at most one of a kind
}

// DatabaseFile is a MaxMind database, and where the configuration names it.
type DatabaseFile struct {
	Kind enrich.Kind
	Path string
	at   diag.Diagnostic // its place alone
}

// Files is the files that a reload has to look at.
func (c *EnrichConfig) Files() []string {
	out := make([]string, len(c.GeoIP))
	for i, f := range c.GeoIP {
		out[i] = f.Path
	}
	return out
}

func (r configReader) enrich(n diag.Node, c *EnrichConfig) {
	m, ok := n.Map()
	if !ok {
		return
	}
	if g, ok := m.Get("geoip").Map(); ok {
		for _, kind := range enrich.Kinds() {
			if f := g.Get(string(kind)); f.Exists() {
				c.GeoIP = append(c.GeoIP, r.database(kind, f))
			}
		}
		g.Done()
	}
	m.Done()
}

// database reads the name of a file. What is in it is looked at when it is loaded.
func (r configReader) database(kind enrich.Kind, n diag.Node) DatabaseFile {
	f := DatabaseFile{Kind: kind, Path: r.path(n)}
	f.at.File, f.at.Line, f.at.Column = n.Pos()
	f.at.Path = n.Path()
	if f.Path == "" {
		n.Errorf("names no file").Hint("leave the key out, or name a file such as GeoLite2-City.mmdb")
	} else if _, err := os.Stat(f.Path); err != nil {
		n.Errorf("cannot be read: %s", err).Hint("paths are relative to the configuration's folder; docs/enrichment.md says where databases come from")
	}
	return f
}

// databaseFiles reads files by their kinds, as flags name them.
func databaseFiles(byKind map[string]string) ([]DatabaseFile, error) {
	var out []DatabaseFile
	for _, kind := range enrich.Kinds() {
		if path, ok := byKind[string(kind)]; ok {
			out = append(out, DatabaseFile{Kind: kind, Path: path, at: diag.Diagnostic{File: "--geoip", Path: string(kind)}})
		}
	}
	if len(out) < len(byKind) {
		return nil, fmt.Errorf("--geoip takes %v, each with =FILE", enrich.Kinds())
	}
	return out, nil
}

// openDatabases opens what the configuration names; what is wrong with a file is in list, at the place that names it. Files that hold what those of
// last, which may be nil, were made of are not read anew.
func openDatabases(files []DatabaseFile, last *enrich.Databases, list *diag.List) *enrich.Databases {
	var all []*enrich.Database
	for _, f := range files {
		d, err := enrich.Open(f.Kind, f.Path, last.Get(f.Kind))
		if err != nil {
			problem := f.at
			problem.Message, problem.Hint = fmt.Sprintf("%s cannot be used: %s", f.Path, err), databaseHint(err)
			*list = append(*list, problem)
			continue
		}
		all = append(all, d)
	}
	return enrich.NewDatabases(all...)
}

// databaseHint says what to do about a database that cannot be used.
func databaseHint(err error) string {
	var wrong *enrich.WrongKindError
	switch {
	case errors.As(err, &wrong) && len(wrong.Fits) > 0:
		keys := make([]string, len(wrong.Fits))
		for i, kind := range wrong.Fits {
			keys[i] = string(kind)
		}
		return "name it under " + strings.Join(keys, " or ")
	case errors.As(err, &wrong):
		return "docs/enrichment.md says which databases can be used"
	}
	return "fetch it again, and put it in place by renaming it, so that nobody reads a part of it"
}
