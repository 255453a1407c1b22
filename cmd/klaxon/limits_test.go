package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// system makes a root folder with the files of control groups.
func system(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestGroupMemory(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"none":     {nil, 0},
		"no limit": {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 0},
		"its own":  {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1000\n"}, 1000},
		"a parent's is less": {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1000\n",
			"sys/fs/cgroup/a/memory.max": "900\n"}, 900},
		"in a container":     {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "500\n"}, 500},
		"hidden by a mount":  {map[string]string{"proc/self/cgroup": "0::/kubepods/pod1/x\n", "sys/fs/cgroup/memory.max": "500\n"}, 500},
		"first version":      {map[string]string{"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "700\n"}, 700},
		"first, no limit":    {map[string]string{"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"nonsense":           {map[string]string{"proc/self/cgroup": "what\n0::../../..\n", "sys/fs/cgroup/memory.max": "-5"}, 0},
		"outside is outside": {map[string]string{"proc/self/cgroup": "0::/../../../secret\n", "secret/memory.max": "5"}, 0},
	} {
		if got := groupMemory(system(t, c.files)); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	group := system(t, map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "10000000000"})
	for name, c := range map[string]struct {
		config int
		env    string
		root   string
		want   int64
	}{
		"nothing says":               {0, "", t.TempDir(), 0},
		"the group":                  {0, "", group, 9_000_000_000},
		"the configuration wins":     {4 << 30, "2GiB", group, 4 << 30},
		"GOMEMLIMIT before a group":  {0, "2GiB", group, 2 << 30}, // as the runtime has set it
		"GOMEMLIMIT says that none":  {0, "off", group, 0},
		"the configuration is alone": {1 << 30, "", t.TempDir(), 1 << 30},
	} {
		t.Setenv("GOMEMLIMIT", c.env)
		debug.SetMemoryLimit(math.MaxInt64)
		if c.env == "2GiB" {
			debug.SetMemoryLimit(2 << 30)
		}
		cfg := defaultConfig()
		cfg.Limits.Memory = c.config
		log, _ := jsonLog(t)
		if got := limitMemory(&cfg, log, c.root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		if now := debug.SetMemoryLimit(-1); now != c.want && (c.want != 0 || now != math.MaxInt64) {
			t.Errorf("%s: the runtime has %d, want %d", name, now, c.want)
		}
	}
}

func TestLittleMemoryIsToldWithWhatToDo(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	cfg := defaultConfig()
	cfg.Limits.Memory = 512 << 20
	log, out := jsonLog(t)
	limitMemory(&cfg, log, t.TempDir())
	if !strings.Contains(out.String(), "raise it to 800 MiB, or lower limits.fetch_bytes") {
		t.Error(out)
	}
}

func TestMemoryNeed(t *testing.T) {
	cfg := defaultConfig()
	cfg.Archive.Local, cfg.Archive.Elasticsearch = &LocalArchiveConfig{}, &ElasticsearchConfig{}
	for _, c := range []struct {
		roles []string
		want  int64 // MiB
	}{{[]string{"deliver"}, 96}, {[]string{"match"}, 96 + 64 + 64}, {[]string{"detect"}, 96 + 64 + 32*16}, {[]string{"archive"}, 96 + 2*(64+32)}, {allRoles[:], 96 + 128 + 576 + 192}} {
		cfg.Roles = c.roles
		if got := cfg.memoryNeed() >> 20; got != c.want {
			t.Errorf("%v: %d MiB, want %d", c.roles, got, c.want)
		}
	}
}

func TestFewOpenFilesAreTold(t *testing.T) {
	for n, want := range map[uint64]bool{256: true, 1024: false, 65536: false} {
		log, out := jsonLog(t)
		checkFiles(log, func() (uint64, bool) { return n, true })
		if got := strings.Contains(out.String(), "LimitNOFILE="); got != want {
			t.Errorf("%d: %s", n, out)
		}
	}
	log, out := jsonLog(t)
	if checkFiles(log, func() (uint64, bool) { return 0, false }); out.String() != "" {
		t.Error(out)
	}
	if n, ok := openFiles(); !ok || n == 0 {
		t.Errorf("%d, %v", n, ok)
	}
}

func TestLittleDiskSpaceIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := jsonLog(t)
		cfg := defaultConfig()
		cfg.Roles, cfg.Archive.Local = []string{"archive"}, &LocalArchiveConfig{Dir: "/data/archive"}
		a := &app{cfg: cfg, log: log, stats: newStats()}
		free := int64(2 << 30)
		space := func(path string) (int64, int64, error) {
			if path != "/data/archive" {
				return 0, 0, errors.New("who asks for " + path)
			}
			return free, 100 << 30, nil
		}
		a.lookAtDisks(space)
		if got := a.stats.disks.get(); len(got) != 1 || got[0] != (disk{Folder: "archive", Path: "/data/archive", FreeBytes: 2 << 30, SizeBytes: 100 << 30}) || out.String() != "" {
			t.Errorf("%+v, %s", got, out)
		}
		free = 1<<30 - 1
		a.lookAtDisks(space)
		time.Sleep(time.Second)
		a.lookAtDisks(space)
		if got := a.stats.disks.get(); !got[0].Low || strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), "limits.disk_free, which is 1 GiB") {
			t.Errorf("%+v, %s", got, out)
		}
		if a.stats.disks.free()["archive"] != 1<<30-1 || a.stats.disks.size()["archive"] != 100<<30 {
			t.Error("the metrics say otherwise")
		}
		a.lookAtDisks(func(string) (int64, int64, error) { return 0, 0, errors.ErrUnsupported })
		if len(a.stats.disks.get()) != 0 {
			t.Error("what is not known is told")
		}
	})
}

func TestDiskSpace(t *testing.T) {
	free, size, err := diskSpace(t.TempDir())
	if err != nil || free < 0 || size < free || size == 0 {
		t.Errorf("%d of %d, %v", free, size, err)
	}
	if _, _, err := diskSpace(filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("a folder that is not there has space")
	}
}
