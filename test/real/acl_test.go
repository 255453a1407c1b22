package real

import (
	"strings"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
)

// applyACL does what a kafka-acls.sh command would, as a super user at the broker's plain listener.
func applyACL(t *testing.T, broker, command string) {
	t.Helper()
	entries := parseACL(t, command)
	client := &kafkago.Client{Addr: kafkago.TCP(broker)}
	resp, err := client.CreateACLs(t.Context(), &kafkago.CreateACLsRequest{ACLs: entries})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range resp.Errors {
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
}

// parseACL reads a kafka-acls.sh command with nothing but what klaxon's messages and documents use: anything else fails.
func parseACL(t *testing.T, command string) []kafkago.ACLEntry {
	t.Helper()
	words := strings.Fields(strings.ReplaceAll(command, "'", ""))
	if len(words) == 0 || words[0] != "kafka-acls.sh" {
		t.Fatalf("not a kafka-acls.sh command: %s", command)
	}
	entry := kafkago.ACLEntry{PermissionType: kafkago.ACLPermissionTypeAllow, Host: "*", ResourcePatternType: kafkago.PatternTypeLiteral}
	var operations []kafkago.ACLOperationType
	added := false
	for i := 1; i < len(words); i++ {
		if words[i] == "--add" {
			added = true
			continue
		}
		if i+1 == len(words) {
			t.Fatalf("%s stands alone in: %s", words[i], command)
		}
		option, value := words[i], words[i+1]
		i++
		switch option {
		case "--bootstrap-server", "--command-config":
		case "--allow-principal":
			entry.Principal = value
		case "--operation":
			var op kafkago.ACLOperationType
			if err := op.UnmarshalText([]byte(value)); err != nil {
				t.Fatal(err)
			}
			operations = append(operations, op)
		case "--topic":
			entry.ResourceType, entry.ResourceName = kafkago.ResourceTypeTopic, value
		case "--group":
			entry.ResourceType, entry.ResourceName = kafkago.ResourceTypeGroup, value
		case "--resource-pattern-type":
			if value != "prefixed" {
				t.Fatalf("%s in: %s", value, command)
			}
			entry.ResourcePatternType = kafkago.PatternTypePrefixed
		default:
			t.Fatalf("%s in: %s", option, command)
		}
	}
	if !added || entry.Principal == "" || entry.ResourceName == "" || len(operations) == 0 {
		t.Fatalf("the command grants nothing: %s", command)
	}
	out := make([]kafkago.ACLEntry, len(operations))
	for i, op := range operations {
		out[i] = entry
		out[i].Operation = op
	}
	return out
}

// alter does what a kafka-configs.sh --alter command would, for one setting of a topic.
func alter(t *testing.T, broker, command string) {
	t.Helper()
	words := strings.Fields(command)
	name, setting := "", ""
	for i := 1; i+1 < len(words); i++ {
		switch words[i] {
		case "--entity-name":
			name = words[i+1]
		case "--add-config":
			setting = words[i+1]
		}
	}
	key, value, ok := strings.Cut(setting, "=")
	if words[0] != "kafka-configs.sh" || name == "" || !ok {
		t.Fatalf("not a command that alters a topic: %s", command)
	}
	resp, err := (&kafkago.Client{Addr: kafkago.TCP(broker)}).IncrementalAlterConfigs(t.Context(), &kafkago.IncrementalAlterConfigsRequest{Resources: []kafkago.IncrementalAlterConfigsRequestResource{{
		ResourceType: kafkago.ResourceTypeTopic, ResourceName: name,
		Configs: []kafkago.IncrementalAlterConfigsRequestConfig{{Name: key, Value: value, ConfigOperation: kafkago.ConfigOperationSet}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resp.Resources {
		if r.Error != nil {
			t.Fatalf("%s: %v", command, r.Error)
		}
	}
}
