package deploy

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// compose is what docker-compose.yml may hold: a key that is not here fails the test, as the engine would refuse a misspelt one.
type compose struct {
	Name     string                    `yaml:"name"`
	Services map[string]service        `yaml:"services"`
	Configs  map[string]config         `yaml:"configs"`
	Volumes  map[string]map[string]any `yaml:"volumes"`
}

type config struct {
	Content string `yaml:"content"`
}

type service struct {
	Image           string                       `yaml:"image"`
	Build           string                       `yaml:"build"`
	Command         []string                     `yaml:"command"`
	Entrypoint      []string                     `yaml:"entrypoint"`
	Environment     map[string]string            `yaml:"environment"`
	DependsOn       map[string]map[string]string `yaml:"depends_on"`
	Ports           []string                     `yaml:"ports"`
	Volumes         []string                     `yaml:"volumes"`
	Configs         []mount                      `yaml:"configs"`
	Healthcheck     *healthcheck                 `yaml:"healthcheck"`
	Ulimits         map[string]map[string]int    `yaml:"ulimits"`
	Restart         string                       `yaml:"restart"`
	StopGracePeriod string                       `yaml:"stop_grace_period"`
}

type mount struct {
	Source string `yaml:"source"`
	Target string `yaml:"target"`
}

type healthcheck struct {
	Test        []string `yaml:"test"`
	Interval    string   `yaml:"interval"`
	Timeout     string   `yaml:"timeout"`
	Retries     int      `yaml:"retries"`
	StartPeriod string   `yaml:"start_period"`
}

func TestCompose(t *testing.T) {
	c := loadCompose(t)
	if want := []string{"elasticsearch", "kafka", "kibana", "klaxon", "topics"}; !slices.Equal(slices.Sorted(maps.Keys(c.Services)), want) {
		t.Errorf("services are %v, want %v", slices.Sorted(maps.Keys(c.Services)), want)
	}
	for name, s := range c.Services {
		t.Run(name, func(t *testing.T) {
			checkImage(t, s)
			checkPorts(t, s)
			checkHealth(t, s)
			checkVolumes(t, c, s)
			checkDependencies(t, c, s)
			checkSecrets(t, s)
			if s.Restart == "" {
				t.Error("say what happens when it ends: restart")
			}
		})
	}
	for name := range c.Volumes {
		used := func(s service) bool {
			return slices.ContainsFunc(s.Volumes, func(v string) bool { return strings.HasPrefix(v, name+":") })
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(c.Services)), used) {
			t.Errorf("nobody uses the volume %s", name)
		}
	}
}

// checkImage: what runs today must run tomorrow.
func checkImage(t *testing.T, s service) {
	t.Helper()
	switch {
	case s.Build != "":
		read(t, filepath.Join(s.Build, "Dockerfile"))
	case !regexp.MustCompile(`^[a-z0-9./-]+:\d+\.\d+\.\d+$`).MatchString(s.Image):
		t.Errorf("image %q is not pinned to a version x.y.z", s.Image)
	}
}

// checkPorts: nothing here asks for a password, so nothing may be reached from another machine.
func checkPorts(t *testing.T, s service) {
	t.Helper()
	for _, port := range s.Ports {
		if !regexp.MustCompile(`^127\.0\.0\.1:(\d+):\d+$`).MatchString(port) {
			t.Errorf("port %q is not published on 127.0.0.1", port)
		}
	}
}

func checkHealth(t *testing.T, s service) {
	t.Helper()
	if s.Healthcheck == nil {
		if s.Build == "" && s.Restart != "no" {
			t.Error("no healthcheck")
		}
		return
	}
	h := s.Healthcheck
	if len(h.Test) < 2 || h.Test[0] != "CMD" && h.Test[0] != "CMD-SHELL" || h.Test[0] == "CMD-SHELL" && len(h.Test) != 2 {
		t.Errorf("healthcheck %q is neither [CMD, program, …] nor [CMD-SHELL, line]", h.Test)
	}
	for _, span := range []string{h.Interval, h.Timeout, h.StartPeriod} {
		if !regexp.MustCompile(`^\d+s$`).MatchString(span) {
			t.Errorf("healthcheck: %q is no number of seconds", span)
		}
	}
	if h.Retries < 1 {
		t.Error("healthcheck: no retries")
	}
}

func checkVolumes(t *testing.T, c compose, s service) {
	t.Helper()
	for _, v := range s.Volumes {
		from, to, _ := strings.Cut(v, ":")
		if !strings.HasPrefix(to, "/") {
			t.Errorf("volume %q leads nowhere", v)
		}
		if path, ok := strings.CutPrefix(from, "./"); ok {
			read(t, path)
			continue
		}
		if _, ok := c.Volumes[from]; !ok {
			t.Errorf("volume %q is not declared", from)
		}
	}
}

func checkDependencies(t *testing.T, c compose, s service) {
	t.Helper()
	for name, on := range s.DependsOn {
		other, ok := c.Services[name]
		switch condition := on["condition"]; {
		case !ok:
			t.Errorf("depends on %s, which is no service", name)
		case condition == "service_healthy" && other.Healthcheck == nil:
			t.Errorf("waits for the health of %s, which has no healthcheck", name)
		case condition == "service_completed_successfully" && other.Restart != "no":
			t.Errorf("waits for the end of %s, which is started again", name)
		case condition != "service_healthy" && condition != "service_completed_successfully":
			t.Errorf("depends on %s under the condition %q", name, condition)
		}
	}
}

func checkSecrets(t *testing.T, s service) {
	t.Helper()
	for name, value := range s.Environment {
		if regexp.MustCompile(`(?i)password|secret|token|api_?key|credential`).MatchString(name) && value != "" {
			t.Errorf("%s is a secret in a file that everybody reads", name)
		}
	}
}

// TestComposeKlaxon: the configuration in the file names what the file starts, and klaxon accepts it.
func TestComposeKlaxon(t *testing.T) {
	c := loadCompose(t)
	text := strings.ReplaceAll(c.Configs["klaxon"].Content, "$$", "$")
	var conf struct {
		Kafka struct {
			Brokers string
			Topics  []string
		}
		Archive struct{ Elasticsearch struct{ URLs string } }
		Store   struct{ Path string }
		Admin   struct{ Listen string }
	}
	if err := yaml.Load([]byte(text), &conf); err != nil {
		t.Fatalf("configs.klaxon: %v", err)
	}
	klaxon := c.Services["klaxon"]
	if advertised := "INSIDE://" + conf.Kafka.Brokers; !strings.HasPrefix(c.Services["kafka"].Environment["KAFKA_ADVERTISED_LISTENERS"], advertised+",") {
		t.Errorf("klaxon is sent to %s, which the broker does not advertise", conf.Kafka.Brokers)
	}
	made := regexp.MustCompile(`for topic in (.*); do`).FindStringSubmatch(strings.Join(c.Services["topics"].Command, " "))
	if made == nil || !slices.Equal(strings.Fields(made[1]), conf.Kafka.Topics) {
		t.Errorf("klaxon reads %v, made are %v", conf.Kafka.Topics, made)
	}
	if conf.Archive.Elasticsearch.URLs != c.Services["kibana"].Environment["ELASTICSEARCH_HOSTS"] {
		t.Errorf("klaxon writes to %s, which Kibana does not show", conf.Archive.Elasticsearch.URLs)
	}
	if _, port, _ := strings.Cut(conf.Admin.Listen, ":"); !slices.Contains(klaxon.Ports, "127.0.0.1:"+port+":"+port) {
		t.Errorf("the admin port %s is not published", port)
	}
	if data := "/var/lib/klaxon"; !strings.HasPrefix(conf.Store.Path, data+"/") || !slices.Contains(klaxon.Volumes, "klaxon:"+data) {
		t.Errorf("the store %s is lost with the container", conf.Store.Path)
	}

	file := filepath.Join(t.TempDir(), "klaxon.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "./cmd/klaxon", "check", "-c", file)
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("klaxon check: %v\n%s", err, out)
	}
}

// TestComposeMatchesWhatIsTested: the servers here are those that the tests meet.
func TestComposeMatchesWhatIsTested(t *testing.T) {
	c := loadCompose(t)
	tag := func(name string) string {
		_, version, _ := strings.Cut(c.Services[name].Image, ":")
		return version
	}
	for name, pom := range map[string]string{"kafka": "kafka.pom.xml", "topics": "kafka.pom.xml", "elasticsearch": "elasticsearch.pom.xml", "kibana": "elasticsearch.pom.xml"} {
		if text := read(t, filepath.Join("internal", "realtest", pom)); !strings.Contains(text, "<version>"+tag(name)+"</version>") {
			t.Errorf("%s is %s; the tests run against another version (%s)", name, tag(name), pom)
		}
	}
}

// TestComposeKafka: a client goes on at the address that the broker names, so each must be one that it can reach.
func TestComposeKafka(t *testing.T) {
	kafka := loadCompose(t).Services["kafka"]
	for advertised := range strings.SplitSeq(kafka.Environment["KAFKA_ADVERTISED_LISTENERS"], ",") {
		_, address, _ := strings.Cut(advertised, "://")
		host, port, _ := strings.Cut(address, ":")
		if !strings.Contains(kafka.Environment["KAFKA_LISTENERS"]+",", ":"+port+",") {
			t.Errorf("%s is advertised, but nothing listens on %s", advertised, port)
		}
		if host == "127.0.0.1" && !slices.Contains(kafka.Ports, fmt.Sprintf("127.0.0.1:%s:%s", port, port)) {
			t.Errorf("%s is advertised, but not published under the same number", advertised)
		}
		if host != "127.0.0.1" && host != "kafka" {
			t.Errorf("%s is advertised, which nobody can reach", advertised)
		}
	}
	voter := regexp.MustCompile(`^(\d+)@kafka:(\d+)$`).FindStringSubmatch(kafka.Environment["KAFKA_CONTROLLER_QUORUM_VOTERS"])
	if voter == nil || voter[1] != kafka.Environment["KAFKA_NODE_ID"] || !strings.Contains(kafka.Environment["KAFKA_LISTENERS"], "CONTROLLER://:"+voter[2]) {
		t.Errorf("the quorum's voter is %q, which is not this node", kafka.Environment["KAFKA_CONTROLLER_QUORUM_VOTERS"])
	}
}

func loadCompose(t *testing.T) compose {
	t.Helper()
	var c compose
	if err := yaml.Load([]byte(read(t, "docker-compose.yml")), &c, yaml.WithKnownFields(), yaml.WithUniqueKeys(), yaml.WithSingleDocument()); err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return c
}

// read returns a file of the repository, named from its root, two folders up.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
