package notice

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNotice: every module that go.mod names stands in NOTICE with its licence, and nothing else does.
func TestNotice(t *testing.T) {
	root := filepath.Dir(strings.TrimSpace(goCommand(t, ".", "env", "GOMOD")))
	text, err := os.ReadFile(filepath.Join(root, "NOTICE"))
	if err != nil {
		t.Fatal(err)
	}
	named := entries(string(text))
	for _, path := range required(t, root) {
		licence, ok := named[path]
		if !ok {
			t.Errorf("NOTICE does not name %s: add its licence and its copyright", path)
			continue
		}
		delete(named, path)
		if got := licenceOf(t, root, path); got != "" && got != licence {
			t.Errorf("NOTICE says %s for %s, its own LICENSE says %s", licence, path, got)
		}
	}
	for path := range named {
		t.Errorf("NOTICE names %s, which go.mod does not", path)
	}
	if !strings.Contains(string(text), "IP2Location LITE data available from https://lite.ip2location.com") {
		t.Error("NOTICE lacks the attribution that the table of countries asks for")
	}
}

// entries reads the lines `module  licence  copyright` of NOTICE.
func entries(text string) map[string]string {
	found := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^(\S+\.\S+/\S+) +(\S+) +\S.*$`).FindAllStringSubmatch(text, -1) {
		found[m[1]] = m[2]
	}
	return found
}

// required returns the modules of go.mod, direct and indirect.
func required(t *testing.T, root string) []string {
	t.Helper()
	var mod struct {
		Require []struct{ Path string }
	}
	if err := json.Unmarshal([]byte(goCommand(t, root, "mod", "edit", "-json")), &mod); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, one := range mod.Require {
		paths = append(paths, one.Path)
	}
	return paths
}

// licenceOf tells a module's licence by the words of its LICENSE file, or "" if the module was not downloaded.
func licenceOf(t *testing.T, root, path string) string {
	t.Helper()
	dir := strings.TrimSpace(goCommand(t, root, "list", "-m", "-f", "{{.Dir}}", path))
	if dir == "" {
		return ""
	}
	for _, name := range []string{"LICENSE", "LICENSE.txt", "LICENSE-APACHE", "COPYING"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		for _, known := range []struct{ words, licence string }{
			{"Apache License", "Apache-2.0"},
			{"Mozilla Public License", "MPL-2.0"},
			{"Permission is hereby granted, free of charge", "MIT"},
			{"Permission to use, copy, modify, and/or distribute this software", "ISC"},
			{"Redistribution and use in source and binary forms", "BSD-3-Clause"},
		} {
			if strings.Contains(string(text), known.words) {
				return known.licence
			}
		}
		return "a licence that this test does not know"
	}
	return "no LICENSE file"
}

func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}
