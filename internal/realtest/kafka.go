package realtest

import (
	"context"
	_ "embed" // the pom
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

const (
	kafkaVersion = "4.1.1" // as in kafka.pom.xml
	// kafkaCluster is the id of every cluster that is started here: 16 bytes, base64url.
	kafkaCluster = "a2xheG9uLXJlYWx0ZXN0MA"
)

//go:embed kafka.pom.xml
var kafkaPOM []byte

// Kafka is one broker, which is its own controller. Topics are not created by asking for them.
type Kafka struct {
	// Brokers are the addresses to start from, host:port, separated by commas.
	Brokers string

	server *server
}

// Kill9 ends the broker as a power cut would, and returns once its port is free. Its data stay.
func (k *Kafka) Kill9() error { return k.server.end(true) }

// Stop ends the broker as an operator would, and returns once its port is free. Its data stay.
func (k *Kafka) Stop() error { return k.server.end(false) }

// Restart starts the broker again on its old port and data, stopping it first if it runs, and returns once it can be used.
func (k *Kafka) Restart() error { return k.server.restart() }

func kafkaKind() kind {
	return kind{
		name:     "kafka",
		variable: "KLAXON_TEST_KAFKA",
		ready:    kafkaReady,
		docker:   kafkaContainer,
		local:    kafkaProcess,
	}
}

// kafkaReady says whether a broker can be used: one that still starts up does not name itself.
func kafkaReady(ctx context.Context, address string) error { return kafkaKnows(ctx, address, 1) }

// kafkaKnows asks a broker for the brokers that may be used, which are to be so many.
func kafkaKnows(ctx context.Context, address string, want int) error {
	first, _, _ := strings.Cut(address, ",")
	dialer := &kafkago.Dialer{Timeout: 2 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", first)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	brokers, err := conn.Brokers()
	if err != nil {
		return err
	}
	if len(brokers) < want {
		return fmt.Errorf("%d of %d brokers have registered", len(brokers), want)
	}
	return nil
}

// node is one broker of a cluster, which takes part in its controller too.
type node struct {
	id, brokers int    // its number, from 1, and how many brokers there are
	host        string // where it listens
	port        int    // of the listener without security
	controller  int    // port
	voters      string // controllers, as id@host:port
	more        [][2]string
	scram       []string // users, as kafka.tools.StorageTool takes them
}

// alone is the only broker of a cluster.
func alone(host string, port, controller int) node {
	return node{id: 1, brokers: 1, host: host, port: port, controller: controller, voters: fmt.Sprintf("1@127.0.0.1:%d", controller)}
}

// settings are the broker's properties: small, quick to elect and to fence, as many replicas as there are brokers up to three. Of
// settings that occur twice the last counts.
func (n node) settings() [][2]string {
	replicas := min(n.brokers, 3)
	inSync := max(1, replicas-1)
	number := strconv.Itoa
	return append([][2]string{
		{"node.id", number(n.id)},
		{"process.roles", "broker,controller"},
		{"controller.quorum.voters", n.voters},
		{"controller.listener.names", "CONTROLLER"},
		{"inter.broker.listener.name", "PLAINTEXT"},
		{"listeners", fmt.Sprintf("PLAINTEXT://%s:%d,CONTROLLER://%s:%d", n.host, n.port, n.host, n.controller)},
		{"advertised.listeners", fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", n.port)},
		{"listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"},
		{"auto.create.topics.enable", "false"},
		{"default.replication.factor", number(replicas)},
		{"min.insync.replicas", number(inSync)},
		{"offsets.topic.replication.factor", number(replicas)},
		{"offsets.topic.num.partitions", "4"},
		{"transaction.state.log.replication.factor", number(replicas)},
		{"transaction.state.log.min.isr", number(inSync)},
		{"transaction.state.log.num.partitions", "2"},
		{"share.coordinator.state.topic.replication.factor", number(replicas)},
		{"share.coordinator.state.topic.min.isr", number(inSync)},
		{"group.initial.rebalance.delay.ms", "0"},
		{"group.min.session.timeout.ms", "1000"},
		{"broker.session.timeout.ms", "3000"},
		{"broker.heartbeat.interval.ms", "500"},
		{"num.network.threads", "2"},
		{"num.io.threads", "4"},
		{"background.threads", "2"},
		{"log.cleaner.threads", "1"},
		{"log.cleaner.dedupe.buffer.size", "2097152"}, // the default does not fit a heap this small
		{"log.cleaner.io.buffer.size", "262144"},
		{"log.index.size.max.bytes", "1048576"},
		{"log.segment.bytes", "67108864"},
	}, n.more...)
}

func kafkaContainer() (container, string, error) {
	ports, err := freePorts(2)
	if err != nil {
		return container{}, "", err
	}
	n := alone("0.0.0.0", ports[0], ports[1])
	address := fmt.Sprintf("127.0.0.1:%d", n.port)
	args := []string{"--publish", fmt.Sprintf("%s:%d", address, n.port), "--env", "CLUSTER_ID=" + kafkaCluster}
	for _, setting := range n.settings() {
		name := "KAFKA_" + strings.ToUpper(strings.ReplaceAll(setting[0], ".", "_"))
		args = append(args, "--env", name+"="+setting[1])
	}
	return container{image: "apache/kafka:" + kafkaVersion, args: args}, address, nil
}

func kafkaProcess(ctx context.Context, c cache) (unit, string, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, "", err
	}
	n := alone("127.0.0.1", ports[0], ports[1])
	p, err := n.process(ctx, c)
	if err != nil {
		return nil, "", err
	}
	return p, fmt.Sprintf("127.0.0.1:%d", n.port), nil
}

// process makes a broker ready to be started, in a folder of its own.
func (n node) process(ctx context.Context, c cache) (*process, error) {
	executable, _, err := java(ctx, 17)
	if err != nil {
		return nil, err
	}
	jars, err := c.fetched("kafka-"+kafkaVersion, func(dir string) error {
		return maven(ctx, dir, kafkaPOM, "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies",
			"-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(dir, "lib"))
	})
	if err != nil {
		return nil, err
	}
	dir, err := c.newRun("kafka")
	if err != nil {
		return nil, err
	}
	properties := filepath.Join(dir, "server.properties")
	if err := n.writeFiles(dir, properties); err != nil {
		return nil, err
	}
	// C1 only and one thread of garbage collection: the quickest start, the least memory.
	jvm := []string{
		executable, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-Xms64m", "-Xmx192m",
		"-Djava.awt.headless=true", "-Djava.net.preferIPv4Stack=true", "-Djava.io.tmpdir=" + filepath.Join(dir, "tmp"),
		"-Dlog4j2.configurationFile=" + filepath.Join(dir, "log4j2.properties"), "-cp", filepath.Join(jars, "lib", "*"),
	}
	args := append(jvm[1:len(jvm):len(jvm)], "kafka.tools.StorageTool", "format", "-t", kafkaCluster, "-c", properties)
	for _, user := range n.scram {
		args = append(args, "--add-scram", user)
	}
	if out, err := exec.CommandContext(ctx, jvm[0], args...).CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("cannot format Kafka's log folder (%w):\n%s", err, lastLines(out))
	}
	return &process{
		argv: append(jvm, "kafka.Kafka", properties),
		env:  os.Environ(),
		dir:  dir,
		log:  filepath.Join(dir, "server.log"),
		user: -1,
	}, nil
}

func (n node) writeFiles(dir, properties string) error {
	var text strings.Builder
	for _, setting := range n.settings() {
		fmt.Fprintf(&text, "%s=%s\n", setting[0], setting[1])
	}
	fmt.Fprintf(&text, "log.dirs=%s\n", filepath.Join(dir, "data"))
	if err := os.WriteFile(properties, []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("cannot write Kafka's properties: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "log4j2.properties"), []byte(consoleLog), 0o644); err != nil {
		return fmt.Errorf("cannot write Kafka's log settings: %w", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o755); err != nil {
		return fmt.Errorf("cannot make Kafka's folder for temporary files: %w", err)
	}
	return nil
}

// consoleLog makes log4j write to standard output, whose last lines go into error messages.
const consoleLog = `status = warn
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss,SSS} %p %m (%c{1})%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = OUT
logger.config.name = org.apache.kafka.common.config.AbstractConfig
logger.config.level = warn
`
