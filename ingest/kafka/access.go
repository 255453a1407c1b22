package kafka

import (
	"errors"
	"fmt"
	"strings"

	kafkago "github.com/segmentio/kafka-go"
)

// What a right is on, and for what, as kafka-acls.sh names them.
const (
	onTopic           = "topic"
	onGroup           = "group"
	toRead            = "Read"
	toWrite           = "Write"
	toCreate          = "Create"
	toDescribe        = "Describe"
	toDescribeConfigs = "DescribeConfigs"
)

// AccessError says which right klaxon's user lacks.
type AccessError struct {
	Operation      string // as kafka-acls.sh names it, such as Read; or several, separated by commas
	Resource, Name string // topic or group, and its name
	Command        string // that grants the right
	Err            error  // what the broker said
}

// Error says what to do.
func (e *AccessError) Error() string { return fmt.Sprintf("%v: %s", e.Err, e.hint()) }

// Unwrap returns the cause.
func (e *AccessError) Unwrap() error { return e.Err }

func (e *AccessError) hint() string {
	return fmt.Sprintf("klaxon's user lacks the ACL %s on %s %s; grant it with: %s", e.Operation, e.Resource, e.Name, e.Command)
}

// access makes an *AccessError of a broker's refusal; other errors are left as they are.
func (c *Client) access(err error, operation, resource, name string) error {
	var code kafkago.Error
	if !errors.As(err, &code) {
		return err
	}
	switch {
	case resource == onTopic && code == kafkago.TopicAuthorizationFailed, resource == onGroup && code == kafkago.GroupAuthorizationFailed,
		operation == toCreate && code == kafkago.ClusterAuthorizationFailed:
		var known *AccessError
		if errors.As(err, &known) {
			err = known.Err
		}
		return &AccessError{Operation: operation, Resource: resource, Name: name, Command: c.grant(resource, name, operation), Err: err}
	}
	return err
}

// AccessToTopic makes an error that says of a topic all that klaxon's user may have to be granted, out of one that says the first
// right that it lacks.
func (c *Client) AccessToTopic(err *AccessError, operations ...string) *AccessError {
	return &AccessError{Operation: strings.Join(operations, ", "), Resource: err.Resource, Name: err.Name, Command: c.grant(onTopic, err.Name, operations...), Err: err.Err}
}

// grant is the command that grants klaxon's user rights.
func (c *Client) grant(resource, name string, operations ...string) string {
	principal := c.cfg.Principal
	if principal == "" {
		principal = "KLAXONS-USER"
	}
	args := []string{"--add", "--allow-principal", quoted("User:" + principal)}
	for _, o := range operations {
		args = append(args, "--operation", o)
	}
	return c.tool("kafka-acls.sh", append(args, "--"+resource, quoted(name))...)
}

// tool is the command line of one of Kafka's tools.
func (c *Client) tool(name string, args ...string) string {
	line := []string{name, "--bootstrap-server", c.addresses()}
	if c.cfg.TLS != nil || c.cfg.SASL != nil {
		line = append(line, "--command-config", "admin.properties")
	}
	return strings.Join(append(line, args...), " ")
}

// quoted is an argument for a shell.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-:/=,@", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
