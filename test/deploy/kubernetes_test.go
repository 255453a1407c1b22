package deploy

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const kubernetes = "deploy/kubernetes"

// manifest is one document of a file, as the cluster's own types have it.
type manifest struct {
	file, kind, name, namespace string
	object                      any
}

// podMonitor is what of the Prometheus operator's kind is used; a key that is not here fails the test.
type podMonitor struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct{ Name, Namespace string }
	Spec       struct {
		JobLabel            string `json:"jobLabel"`
		Selector            struct{ MatchLabels map[string]string }
		PodMetricsEndpoints []struct{ Port, Path, Interval string }
	}
}

type kustomization struct {
	APIVersion string `json:"apiVersion"`
	Kind       string
	Namespace  string
	Labels     []struct {
		Pairs            map[string]string
		IncludeSelectors bool
	}
	Resources []string
	Images    []struct{ Name, NewName, NewTag string }
}

// kinds is how each kind is read.
func kinds() map[string]any {
	return map[string]any{
		"v1/Namespace": &core.Namespace{}, "v1/ServiceAccount": &core.ServiceAccount{}, "v1/ConfigMap": &core.ConfigMap{}, "v1/Secret": &core.Secret{}, "v1/Service": &core.Service{},
		"apps/v1/Deployment": &apps.Deployment{}, "policy/v1/PodDisruptionBudget": &policy.PodDisruptionBudget{}, "networking.k8s.io/v1/NetworkPolicy": &networking.NetworkPolicy{},
		"autoscaling/v2/HorizontalPodAutoscaler": &autoscaling.HorizontalPodAutoscaler{}, "monitoring.coreos.com/v1/PodMonitor": &podMonitor{},
	}
}

// manifests reads every document of the folder but the kustomization, with no key that the cluster does not know and none twice.
func manifests(t *testing.T) (all []manifest) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", kubernetes, "*.yaml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%v, %d files", err, len(files))
	}
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, doc := range bytes.Split(text, []byte("\n---\n")) {
			all = append(all, decode(t, fmt.Sprintf("%s (%d)", filepath.Base(file), i), doc))
		}
	}
	return all
}

func decode(t *testing.T, file string, doc []byte) manifest {
	t.Helper()
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string
		Metadata   struct{ Name, Namespace string }
	}
	if err := yaml.Unmarshal(doc, &head); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	object := kinds()[head.APIVersion+"/"+head.Kind]
	if object == nil {
		t.Fatalf("%s: %s/%s is no kind that this test knows", file, head.APIVersion, head.Kind)
	}
	if err := yaml.UnmarshalStrict(doc, object); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	return manifest{file, head.Kind, head.Metadata.Name, head.Metadata.Namespace, object}
}

// of is the objects of one kind, by name.
func of[T any](all []manifest) map[string]T {
	out := map[string]T{}
	for _, m := range all {
		if o, ok := m.object.(T); ok {
			out[m.name] = o
		}
	}
	return out
}

func TestKubernetesKustomization(t *testing.T) {
	text := read(t, kubernetes+"/kustomization.yaml")
	var k kustomization
	if err := yaml.UnmarshalStrict([]byte(text), &k); err != nil {
		t.Fatal(err)
	}
	named := slices.Clone(k.Resources)
	for _, m := range regexp.MustCompile(`(?m)^  # - (\S+\.yaml)`).FindAllStringSubmatch(text, -1) {
		named = append(named, m[1])
	}
	files := map[string]bool{}
	for _, m := range manifests(t) {
		name, _, _ := strings.Cut(m.file, " ")
		files[name] = true
		if m.kind != "Namespace" && m.namespace != k.Namespace || m.name == "" {
			t.Errorf("%s: %s %q is in the namespace %q", m.file, m.kind, m.name, m.namespace)
		}
	}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, slices.Sorted(slices.Values(named))) {
		t.Errorf("the folder has %v, named are %v", got, named)
	}
	if len(k.Images) != 1 || k.Images[0].Name != "klaxon" {
		t.Errorf("images: %+v", k.Images)
	}
}

// fromConfig is what of klaxon's configuration the manifests depend on. Whether klaxon accepts it is a test of cmd/klaxon.
type fromConfig struct {
	text         string
	drain        time.Duration
	port         int32
	secrets      []string // files below where secrets are mounted
	destinations []int    // ports
}

const secretsFolder = "/etc/klaxon/secrets/"

func readConfig(t *testing.T, all []manifest) fromConfig {
	t.Helper()
	c := fromConfig{text: of[*core.ConfigMap](all)["klaxon"].Data["klaxon.yaml"]}
	var conf struct {
		Limits struct{ Drain string }
		Admin  struct{ Listen string }
	}
	if err := yaml.Unmarshal([]byte(c.text), &conf); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.drain, err = time.ParseDuration(conf.Limits.Drain); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(conf.Admin.Listen, ":")
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	c.port = int32(n)
	for _, m := range regexp.MustCompile(secretsFolder+`([a-z.-]+[a-z])`).FindAllStringSubmatch(c.text, -1) {
		c.secrets = append(c.secrets, m[1])
	}
	for _, m := range regexp.MustCompile(`\.svc:(\d+)`).FindAllStringSubmatch(c.text, -1) {
		n, _ := strconv.Atoi(m[1])
		c.destinations = append(c.destinations, n)
	}
	if len(c.secrets) < 5 || len(c.destinations) < 3 {
		t.Fatalf("only %v and %v were found", c.secrets, c.destinations)
	}
	return c
}

func TestKubernetesDeployments(t *testing.T) {
	all := manifests(t)
	c := readConfig(t, all)
	var roles []string
	deployments := of[*apps.Deployment](all)
	for name, d := range deployments {
		t.Run(name, func(t *testing.T) {
			pod := d.Spec.Template.Spec
			if len(pod.Containers) != 1 {
				t.Fatalf("%d containers", len(pod.Containers))
			}
			box := pod.Containers[0]
			for _, e := range box.Env {
				roles = append(roles, e.Value)
				if !strings.Contains(c.text, "${"+e.Name+"}") {
					t.Errorf("nothing in the configuration is called ${%s}", e.Name)
				}
			}
			checkPod(t, d, c, all)
			checkRestricted(t, pod, box)
			checkProbes(t, box, c)
			checkMounts(t, pod, box, c, all)
			if mem := box.Resources.Limits.Memory(); mem.IsZero() || box.Resources.Requests.Cpu().IsZero() || mem.Cmp(*box.Resources.Requests.Memory()) < 0 {
				t.Error("resources are missing, or the limit is below the request")
			}
		})
	}
	if slices.Sort(roles); !slices.Equal(roles, []string{"archive", "deliver", "detect", "match"}) {
		t.Errorf("the deployments have the roles %v", roles)
	}
}

func checkPod(t *testing.T, d *apps.Deployment, c fromConfig, all []manifest) {
	t.Helper()
	pod := d.Spec.Template.Spec
	if grace := pod.TerminationGracePeriodSeconds; grace == nil || time.Duration(*grace)*time.Second < c.drain+10*time.Second {
		t.Errorf("the pod is killed before it has drained (%s)", c.drain)
	}
	if !covers(d.Spec.Selector.MatchLabels, d.Spec.Template.Labels) || len(d.Spec.Selector.MatchLabels) < 2 {
		t.Errorf("it selects %v and makes pods with %v", d.Spec.Selector.MatchLabels, d.Spec.Template.Labels)
	}
	if of[*core.ServiceAccount](all)[pod.ServiceAccountName] == nil {
		t.Errorf("there is no service account %q", pod.ServiceAccountName)
	}
	for _, spread := range pod.TopologySpreadConstraints {
		if !covers(spread.LabelSelector.MatchLabels, d.Spec.Template.Labels) {
			t.Error("what is spread are other pods")
		}
	}
}

// checkRestricted: what the namespace enforces.
func checkRestricted(t *testing.T, pod core.PodSpec, box core.Container) {
	t.Helper()
	p, s := pod.SecurityContext, box.SecurityContext
	switch {
	case p == nil || p.RunAsNonRoot == nil || !*p.RunAsNonRoot || p.RunAsUser == nil || *p.RunAsUser == 0 || p.SeccompProfile == nil || p.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault:
		t.Error("the pod is not restricted")
	case s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
		s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}):
		t.Error("the container is not restricted")
	case pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken:
		t.Error("it is given a token of the cluster")
	}
}

func checkProbes(t *testing.T, box core.Container, c fromConfig) {
	t.Helper()
	if len(box.Ports) != 1 || box.Ports[0].ContainerPort != c.port {
		t.Fatalf("ports %v, the configuration listens on %d", box.Ports, c.port)
	}
	admin := read(t, "cmd/klaxon/admin.go")
	for path, probe := range map[string]*core.Probe{"/healthz": box.LivenessProbe, "/readyz": box.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.String() != box.Ports[0].Name || !strings.Contains(admin, `"GET `+path+`"`) {
			t.Errorf("no probe asks %s on the admin port", path)
		}
	}
}

func checkMounts(t *testing.T, pod core.PodSpec, box core.Container, c fromConfig, all []manifest) {
	t.Helper()
	if len(box.Args) != 3 || box.Args[0] != "run" || box.Args[1] != "-c" {
		t.Fatalf("it starts klaxon %v", box.Args)
	}
	at := map[string]core.Volume{}
	for _, m := range box.VolumeMounts {
		i := slices.IndexFunc(pod.Volumes, func(v core.Volume) bool { return v.Name == m.Name })
		if i < 0 || !m.ReadOnly {
			t.Fatalf("%s is no volume, or can be written to", m.Name)
		}
		at[m.MountPath] = pod.Volumes[i]
		if cm := pod.Volumes[i].ConfigMap; cm != nil && of[*core.ConfigMap](all)[cm.Name] == nil {
			t.Errorf("there is no ConfigMap %s", cm.Name)
		}
	}
	if at[box.Args[2]].ConfigMap == nil {
		t.Errorf("nothing is mounted at %s", box.Args[2])
	}
	secret := at[strings.TrimSuffix(secretsFolder, "/")].Secret
	if secret == nil {
		t.Fatalf("no secrets at %s", secretsFolder)
	}
	example := of[*core.Secret](all)[secret.SecretName]
	for _, name := range c.secrets {
		if example == nil || example.StringData[name] == "" {
			t.Errorf("the example of the secret lacks %s", name)
		}
	}
	if example != nil && len(example.StringData) != len(c.secrets) {
		t.Errorf("the example has %d secrets, the configuration names %v", len(example.StringData), c.secrets)
	}
	for _, dir := range regexp.MustCompile(`dirs: \[(/[^\]]+)\]`).FindAllStringSubmatch(c.text, -1) {
		if at[dir[1]].ConfigMap == nil {
			t.Errorf("the configuration names %s, where nothing is mounted", dir[1])
		}
	}
}

// TestKubernetesSelectors: whatever selects pods selects some that there are.
func TestKubernetesSelectors(t *testing.T) {
	all := manifests(t)
	deployments := of[*apps.Deployment](all)
	selects := func(name string, labels map[string]string, want int) {
		t.Helper()
		n := 0
		for _, d := range deployments {
			if covers(labels, d.Spec.Template.Labels) {
				n++
			}
		}
		if n != want || len(labels) == 0 {
			t.Errorf("%s selects %d of %d deployments, want %d", name, n, len(deployments), want)
		}
	}
	for name, o := range of[*core.Service](all) {
		selects("the service "+name, o.Spec.Selector, 2)
		if p := o.Spec.Ports[0]; p.Port != readConfig(t, all).port || p.TargetPort.String() != "admin" {
			t.Errorf("the service's port is %v", p)
		}
	}
	for name, o := range of[*podMonitor](all) {
		selects("the monitor "+name, o.Spec.Selector.MatchLabels, 2)
	}
	for name, o := range of[*networking.NetworkPolicy](all) {
		selects("the policy "+name, o.Spec.PodSelector.MatchLabels, 2)
		checkEgress(t, o, readConfig(t, all))
	}
	for name, o := range of[*policy.PodDisruptionBudget](all) {
		selects("the budget "+name, o.Spec.Selector.MatchLabels, 1)
		if o.Spec.MaxUnavailable == nil || o.Spec.MaxUnavailable.IntValue() < 1 {
			t.Errorf("the budget %s lets nobody go", name)
		}
		if d := deployments[name]; d == nil || *d.Spec.Replicas < 2 {
			t.Errorf("the budget %s is for one pod, or none", name)
		}
	}
	for name, o := range of[*autoscaling.HorizontalPodAutoscaler](all) {
		if deployments[o.Spec.ScaleTargetRef.Name] == nil {
			t.Errorf("the autoscaler %s scales %s, which there is none of", name, o.Spec.ScaleTargetRef.Name)
		}
	}
}

// checkEgress: the policy lets klaxon reach what its configuration names.
func checkEgress(t *testing.T, o *networking.NetworkPolicy, c fromConfig) {
	t.Helper()
	var open []int
	for _, rule := range o.Spec.Egress {
		for _, p := range rule.Ports {
			open = append(open, p.Port.IntValue())
		}
	}
	for _, port := range append(c.destinations, 53, 443) {
		if !slices.Contains(open, port) {
			t.Errorf("the policy keeps klaxon from port %d", port)
		}
	}
}

// covers says whether labels have everything that a selector asks for.
func covers(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}
