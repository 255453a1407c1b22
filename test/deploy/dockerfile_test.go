package deploy

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// stage is one FROM of a Dockerfile with what follows it.
type stage struct {
	image, name  string
	instructions []instruction
}

type instruction struct{ verb, rest string }

func TestDockerfile(t *testing.T) {
	stages := parseDockerfile(t, read(t, "Dockerfile"))
	if len(stages) != 2 {
		t.Fatalf("%d stages, want one that builds and one that runs", len(stages))
	}
	build, run := stages[0], stages[1]

	t.Run("builds with the module's Go", func(t *testing.T) {
		want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
		got := regexp.MustCompile(`^golang:(\d+\.\d+)\.\d+$`).FindStringSubmatch(build.image)
		if want == nil || got == nil || got[1] != want[1] {
			t.Errorf("builds with %s, go.mod says %v", build.image, want)
		}
	})
	t.Run("builds a static binary of klaxon with no flags of its own", func(t *testing.T) {
		if !slices.ContainsFunc(build.instructions, func(i instruction) bool {
			return i.verb == "RUN" && strings.HasSuffix(i.rest, "CGO_ENABLED=0 go build -o /out/klaxon ./cmd/klaxon")
		}) {
			t.Error("no such step")
		}
	})
	t.Run("runs as nobody in an image with nothing in it", func(t *testing.T) {
		if !regexp.MustCompile(`^gcr\.io/distroless/static-debian\d+:nonroot$`).MatchString(run.image) {
			t.Errorf("runs in %s", run.image)
		}
		if got := run.value("USER"); got != "nonroot:nonroot" {
			t.Errorf("runs as %q", got)
		}
		if slices.ContainsFunc(run.instructions, func(i instruction) bool { return i.verb == "RUN" }) {
			t.Error("a RUN step in an image without a shell")
		}
	})
	t.Run("starts what it copied, with the file that compose mounts", func(t *testing.T) {
		var entry, args []string
		if json.Unmarshal([]byte(run.value("ENTRYPOINT")), &entry) != nil || json.Unmarshal([]byte(run.value("CMD")), &args) != nil {
			t.Fatal("ENTRYPOINT and CMD must be lists: in the other form a shell that is not there starts the program")
		}
		if !slices.Contains(run.instructions, instruction{"COPY", "--from=build /out/klaxon " + entry[0]}) {
			t.Errorf("nothing was copied to %s", entry[0])
		}
		klaxon := loadCompose(t).Services["klaxon"]
		if !slices.Equal(klaxon.Command, args) {
			t.Errorf("compose starts %q, the image %q", klaxon.Command, args)
		}
		if file := args[len(args)-1]; !slices.Contains(klaxon.Configs, mount{Source: "klaxon", Target: file}) {
			t.Errorf("compose does not mount %s", file)
		}
		if data := run.value("VOLUME"); !slices.Contains(klaxon.Volumes, "klaxon:"+data) {
			t.Errorf("compose keeps nothing of %s", data)
		}
	})
	t.Run("the build sees what git sees", func(t *testing.T) {
		ignored := read(t, ".gitignore")
		for line := range strings.Lines(read(t, ".dockerignore")) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if name := strings.Trim(path.Clean(line), "/"); !strings.Contains(ignored, path.Base(name)) {
				t.Errorf(".dockerignore leaves out %s, which git does not ignore", line)
			}
		}
	})
}

// value returns what the last such instruction says.
func (s stage) value(verb string) string {
	for _, i := range slices.Backward(s.instructions) {
		if i.verb == verb {
			return i.rest
		}
	}
	return ""
}

func parseDockerfile(t *testing.T, text string) []stage {
	t.Helper()
	var joined strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			joined.WriteString(line)
		}
	}
	text = regexp.MustCompile(`\\\n\s*`).ReplaceAllString(joined.String(), "")
	known := []string{"FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "ENTRYPOINT", "CMD", "EXPOSE", "LABEL"}
	var stages []stage
	for line := range strings.Lines(text) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if verb == "" {
			continue
		}
		if !slices.Contains(known, verb) {
			t.Fatalf("Dockerfile: %q is not one of %v", verb, known)
		}
		if verb == "FROM" {
			image, name, _ := strings.Cut(rest, " AS ")
			stages = append(stages, stage{image: image, name: name})
			continue
		}
		if len(stages) == 0 {
			t.Fatalf("Dockerfile: %s before the first FROM", verb)
		}
		last := &stages[len(stages)-1]
		last.instructions = append(last.instructions, instruction{verb, strings.TrimSpace(rest)})
	}
	return stages
}
