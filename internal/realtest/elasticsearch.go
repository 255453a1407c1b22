package realtest

import (
	"context"
	_ "embed" // the pom
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const elasticsearchVersion = "8.19.21" // as in elasticsearch.pom.xml

//go:embed elasticsearch.pom.xml
var elasticsearchPOM []byte

// Elasticsearch is a cluster of one node without security. As a local process it is the bare server: no ILM, no ingest
// processors, no `match_only_text` or `wildcard` fields, and `GET /` answers 405.
type Elasticsearch struct {
	// URL is its address, http://host:port, without a path.
	URL string

	server *server
}

// Kill9 ends the node as a power cut would, and returns once its port is free. Its data stay.
func (e *Elasticsearch) Kill9() error { return e.server.end(true) }

// Stop ends the node as an operator would, and returns once its port is free. Its data stay.
func (e *Elasticsearch) Stop() error { return e.server.end(false) }

// Restart starts the node again on its old port and data, stopping it first if it runs, and returns once its indices answer.
func (e *Elasticsearch) Restart() error { return e.server.restart() }

func elasticsearchKind() kind {
	return kind{
		name:     "elasticsearch",
		variable: "KLAXON_TEST_ELASTICSEARCH",
		ready:    elasticsearchReady,
		docker:   elasticsearchContainer,
		local:    elasticsearchProcess,
	}
}

func elasticsearchReady(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	url := strings.TrimSuffix(address, "/") + "/_cluster/health?wait_for_status=yellow&timeout=3s"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK { // 408 while shards are still missing
		return errors.New("the cluster's health answers " + response.Status)
	}
	return nil
}

func elasticsearchContainer() (container, string, error) {
	ports, err := freePorts(1)
	if err != nil {
		return container{}, "", err
	}
	return container{
		image: "docker.elastic.co/elasticsearch/elasticsearch:" + elasticsearchVersion,
		args: []string{
			"--publish", fmt.Sprintf("127.0.0.1:%d:9200", ports[0]),
			"--env", "discovery.type=single-node",
			"--env", "xpack.security.enabled=false",
			"--env", "cluster.routing.allocation.disk.threshold_enabled=false",
			"--env", "ES_JAVA_OPTS=-Xms512m -Xmx512m",
		},
	}, fmt.Sprintf("http://127.0.0.1:%d", ports[0]), nil
}

func elasticsearchProcess(ctx context.Context, c cache) (unit, string, error) {
	_, home, err := java(ctx, 17)
	if err != nil {
		return nil, "", err
	}
	dist, err := c.fetched("elasticsearch-"+elasticsearchVersion, func(dir string) error {
		return fetchElasticsearch(ctx, dir)
	})
	if err != nil {
		return nil, "", err
	}
	dist = filepath.Join(dist, "elasticsearch-"+elasticsearchVersion)
	dir, err := c.newRun("elasticsearch")
	if err != nil {
		return nil, "", err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, "", err
	}
	port, transport := ports[0], ports[1]
	if err := writeElasticsearchFiles(dist, dir, port, transport); err != nil {
		return nil, "", err
	}
	user := -1
	if os.Geteuid() == 0 { // which Elasticsearch refuses
		user = unprivileged
		if err := giveTo(dir, user); err != nil {
			return nil, "", err
		}
	}
	p := &process{
		argv: []string{filepath.Join(dist, "bin", "elasticsearch")},
		env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "ES_JAVA_HOME=" + home, "ES_PATH_CONF=" + filepath.Join(dir, "config"),
			"ES_TMPDIR=" + filepath.Join(dir, "tmp"), "ES_JAVA_OPTS=-Xms256m -Xmx256m -XX:-AlwaysPreTouch",
		},
		dir:  dir,
		log:  filepath.Join(dir, "server.log"),
		user: user,
	}
	return p, fmt.Sprintf("http://127.0.0.1:%d", port), nil
}

func fetchElasticsearch(ctx context.Context, dir string) error {
	err := maven(ctx, dir, elasticsearchPOM, "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies",
		"-DexcludeTransitive=true", "-DoutputDirectory="+dir)
	if err != nil {
		return err
	}
	archive := filepath.Join(dir, "elasticsearch-"+elasticsearchVersion+".zip")
	if err := unzip(archive, dir, foreign); err != nil {
		return err
	}
	return os.Remove(archive)
}

// foreign names the native code of systems that the server is not started on.
func foreign(name string) bool {
	return strings.Contains(name, "/lib/platform/windows-")
}

func writeElasticsearchFiles(dist, dir string, port, transport int) error {
	config := filepath.Join(dir, "config")
	for _, folder := range []string{config, filepath.Join(dir, "data"), filepath.Join(dir, "logs"), filepath.Join(dir, "tmp")} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return fmt.Errorf("cannot make Elasticsearch's folder: %w", err)
		}
	}
	files := map[string]string{
		"log4j2.properties": consoleLog,
		"jvm.options": strings.Join([]string{
			"-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.io.tmpdir=" + filepath.Join(dir, "tmp"),
			"20-:--add-modules=jdk.incubator.vector", "-XX:ErrorFile=" + filepath.Join(dir, "logs", "hs_err_pid%p.log"), "",
		}, "\n"),
		"elasticsearch.yml": strings.Join([]string{
			"cluster.name: klaxon-realtest", "node.name: n1", "discovery.type: single-node", "network.host: 127.0.0.1",
			fmt.Sprintf("http.port: %d", port), fmt.Sprintf("transport.port: %d", transport),
			"path.data: " + filepath.Join(dir, "data"), "path.logs: " + filepath.Join(dir, "logs"),
			"xpack.security.enabled: false",
			"cluster.routing.allocation.disk.threshold_enabled: false", // a full disk is not what these tests are about
			"",
		}, "\n"),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(config, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("cannot write Elasticsearch's %s: %w", name, err)
		}
	}
	return nil
}

// giveTo makes another user the owner of a folder and everything in it.
func giveTo(dir string, user int) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := os.Lchown(path, user, user); err != nil {
			return fmt.Errorf("cannot hand the server its folder: %w", err)
		}
		return nil
	})
}
