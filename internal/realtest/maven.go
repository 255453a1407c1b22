package realtest

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// fetched returns the folder c.dir/name, filled by fill if it is not there. fill is given a temporary folder, which gets its
// name only once it is complete.
func (c cache) fetched(name string, fill func(dir string) error) (string, error) {
	final := filepath.Join(c.dir, name)
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	partial := final + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return "", fmt.Errorf("cannot clear an incomplete download: %w", err)
	}
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return "", fmt.Errorf("cannot make a folder to download to: %w", err)
	}
	if err := fill(partial); err != nil {
		_ = os.RemoveAll(partial)
		return "", err
	}
	if err := os.Rename(partial, final); err != nil {
		return "", fmt.Errorf("cannot name the download: %w", err)
	}
	return final, nil
}

// maven runs one goal on a pom, which is written into dir beside what it makes.
func maven(ctx context.Context, dir string, pom []byte, args ...string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("no mvn (Apache Maven) on the PATH to fetch the server with")
	}
	file := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(file, pom, 0o644); err != nil {
		return fmt.Errorf("cannot write the pom: %w", err)
	}
	cmd := exec.CommandContext(ctx, mvn, append([]string{"-B", "-q", "-Dstyle.color=never", "-f", file}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("download failed (%w); Maven's output ends:\n%s", err, lastLines(out))
	}
	return nil
}

// lastLines shortens Maven's output, without what a mirror's URL may hold before its host.
func lastLines(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	text := strings.Join(lines[max(0, len(lines)-10):], "\n")
	return regexp.MustCompile(`://[^/@\s]*@`).ReplaceAllString(text, "://")
}

// java returns a Java of at least that major version: its executable and its home.
func java(ctx context.Context, atLeast int) (executable, home string, err error) {
	executable = "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		executable = filepath.Join(home, "bin", "java")
	}
	if executable, err = exec.LookPath(executable); err != nil {
		return "", "", errors.New("no java on the PATH or in JAVA_HOME")
	}
	out, err := exec.CommandContext(ctx, executable, "-XshowSettings:properties", "-version").CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("%s does not run: %w", executable, err)
	}
	version, _ := strconv.Atoi(setting(out, "java.specification.version"))
	if version < atLeast {
		return "", "", fmt.Errorf("%s is Java %d; version %d or newer is needed", executable, version, atLeast)
	}
	return executable, setting(out, "java.home"), nil
}

// setting reads one line `    name = value` of Java's -XshowSettings.
func setting(out []byte, name string) string {
	for line := range bytes.Lines(out) {
		if key, value, ok := strings.Cut(string(line), " = "); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// unzip unpacks an archive into dir, except what skip names by its path in the archive.
func unzip(archive, dir string, skip func(name string) bool) error {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("cannot open the download: %w", err)
	}
	defer r.Close()
	for _, f := range r.File {
		if skip(f.Name) {
			continue
		}
		if err := unpack(f, dir); err != nil {
			return fmt.Errorf("cannot unpack %s of %s: %w", f.Name, filepath.Base(archive), err)
		}
	}
	return nil
}

func unpack(f *zip.File, dir string) error {
	if !filepath.IsLocal(f.Name) {
		return errors.New("its name leads out of the folder")
	}
	path := filepath.Join(dir, filepath.FromSlash(f.Name))
	if f.FileInfo().IsDir() {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	from, err := f.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, f.Mode().Perm()|0o444)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
