package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/internal/realtest"
)

// unit is the settings of a unit file, by section and key; a key that stands twice has several values.
type unit map[string]map[string][]string

func parseUnit(t *testing.T, text string) unit {
	t.Helper()
	u, section := unit{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(name, "]")
			u[section] = map[string][]string{}
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section == "" {
			t.Fatalf("%q is no setting", line)
		}
		u[section][key] = append(u[section][key], value)
	}
	return u
}

// one is a setting of the service that there is exactly one of.
func (u unit) one(t *testing.T, key string) string {
	t.Helper()
	if len(u["Service"][key]) != 1 {
		t.Fatalf("%s is there %d times", key, len(u["Service"][key]))
	}
	return u["Service"][key][0]
}

func (u unit) span(t *testing.T, key string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(strings.NewReplacer("min", "m").Replace(u.one(t, key)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSystemdUnit(t *testing.T) {
	u := parseUnit(t, read(t, "deploy/systemd/klaxon.service"))
	for key, want := range map[string]string{
		"Type": "notify", "NotifyAccess": "main", "ExecReload": "/bin/kill -HUP $MAINPID", "Restart": "on-failure", "RestartPreventExitStatus": "2",
		"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes", "CapabilityBoundingSet": "",
		"MemoryDenyWriteExecute": "yes", "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "UMask": "0077", "StateDirectory": "klaxon", "WorkingDirectory": "/var/lib/klaxon",
	} {
		if got := u.one(t, key); got != want {
			t.Errorf("%s=%s, want %s", key, got, want)
		}
	}
	if u.span(t, "WatchdogSec") < 10*time.Second {
		t.Error("the watchdog is more impatient than a busy machine allows")
	}
	if user := u.one(t, "User"); !strings.Contains(read(t, "deploy/systemd/klaxon.sysusers.conf"), "\nu "+user+" ") {
		t.Errorf("nothing makes the user %s", user)
	}
	drain := regexp.MustCompile(`(?m)^  drain: (\S+)`).FindStringSubmatch(read(t, "klaxon.example.yaml"))
	if drain == nil {
		t.Fatal("klaxon.example.yaml does not say how long draining may take")
	}
	if limit, err := time.ParseDuration(drain[1]); err != nil || u.span(t, "TimeoutStopSec") < limit+10*time.Second {
		t.Errorf("it is killed after %s, and drains for %s: %v", u.span(t, "TimeoutStopSec"), drain[1], err)
	}
}

// TestSystemdPaths: the unit starts what the documents install. That klaxon takes the command line is a test of cmd/klaxon.
func TestSystemdPaths(t *testing.T) {
	args := strings.Fields(parseUnit(t, read(t, "deploy/systemd/klaxon.service")).one(t, "ExecStart"))
	docs := read(t, "docs/run.md")
	for _, want := range []string{"install -m 0755 klaxon " + filepath.Dir(args[0]) + "/", "install -m 0644 klaxon.yaml " + args[len(args)-1]} {
		if !strings.Contains(docs, want) {
			t.Errorf("docs/run.md does not say %q", want)
		}
	}
}

// TestSystemdCredentials: what the drop-in loads is what the documents' configuration names.
func TestSystemdCredentials(t *testing.T) {
	loaded := parseUnit(t, read(t, "deploy/systemd/klaxon.service.d/secrets.conf"))["Service"]["LoadCredential"]
	docs := read(t, "docs/run.md")
	for _, one := range loaded {
		name, file, _ := strings.Cut(one, ":")
		if file != "/etc/klaxon/secrets/"+name || !strings.Contains(docs, "${CREDENTIALS_DIRECTORY:-/etc/klaxon/secrets}/"+name) {
			t.Errorf("%s is loaded from %s; docs/run.md does not name it", name, file)
		}
	}
	if len(loaded) == 0 {
		t.Error("no credential is loaded")
	}
}

// TestSystemdVerify asks systemd itself. It wants the program to be there, so another one stands for it.
func TestSystemdVerify(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if realtest.Required("systemd") {
			t.Fatal("KLAXON_TEST_REQUIRE names systemd, but there is no systemd-analyze: install the package systemd")
		}
		t.Skipf("no systemd-analyze: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "klaxon.service")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(strings.ReplaceAll(text, "/usr/local/bin/klaxon", self)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	verify := func() string {
		out, _ := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", file).CombinedOutput()
		return string(out)
	}
	write(file, read(t, "deploy/systemd/klaxon.service"))
	write(file+".d/secrets.conf", read(t, "deploy/systemd/klaxon.service.d/secrets.conf"))
	if out := verify(); strings.Contains(out, "klaxon") {
		t.Errorf("systemd-analyze verify:\n%s", out)
	}
	write(file, read(t, "deploy/systemd/klaxon.service")+"\n[Service]\nProtectSytem=strict\n")
	if out := verify(); !strings.Contains(out, "ProtectSytem") {
		t.Errorf("a setting that is misspelt is not found, so nothing was looked at:\n%s", out)
	}
}
