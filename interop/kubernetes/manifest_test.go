package kubernetes

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/nodelens/nodelens/fleet"
	"github.com/nodelens/nodelens/fleet/deploy"
)

// decode reads a manifest: unknown and double fields are errors.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

var options = deploy.Options{Image: `registry.example/nodelens@sha256:"quoted"`, Claim: "images", Memory: 2000, Deadline: 90 * time.Minute, Attempts: 4, Parallel: 30}

func TestIndexed(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := deploy.Indexed(&b, 500, options); err != nil {
		t.Fatal(err)
	}
	var job batchv1.Job
	decode(t, b.String(), &job)
	s := job.Spec
	if job.APIVersion != "batch/v1" || job.Kind != "Job" || *s.CompletionMode != batchv1.IndexedCompletion || *s.Completions != 500 || *s.Parallelism != 30 ||
		*s.BackoffLimitPerIndex != 3 || *s.MaxFailedIndexes != 500 || s.BackoffLimit != nil {
		t.Errorf("job is %+v", s)
	}
	rule := s.PodFailurePolicy.Rules[0]
	if rule.Action != batchv1.PodFailurePolicyActionFailIndex || !slices.Equal(rule.OnExitCodes.Values, []int32{fleet.ExitPoison}) || *rule.OnExitCodes.ContainerName != s.Template.Spec.Containers[0].Name {
		t.Errorf("rule is %+v", rule)
	}
	pod := s.Template.Spec
	container(t, &pod)
	security := pod.Containers[0].SecurityContext
	if pod.RestartPolicy != corev1.RestartPolicyNever || !*pod.SecurityContext.RunAsNonRoot || *security.AllowPrivilegeEscalation || len(security.Capabilities.Add) != 0 {
		t.Errorf("pod is %+v", pod)
	}
	if *pod.ActiveDeadlineSeconds <= int64(options.Deadline/time.Second) {
		t.Error("the pod's deadline comes before the child's, and there would be no result")
	}
}

// container checks what all containers have in common.
func container(t *testing.T, pod *corev1.PodSpec) {
	t.Helper()
	c := pod.Containers[0]
	if c.Image != options.Image || !slices.Contains(c.Args, "work") || *pod.AutomountServiceAccountToken || !*c.SecurityContext.ReadOnlyRootFilesystem ||
		!slices.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("container is %+v", c)
	}
	if limit := c.Resources.Limits[corev1.ResourceMemory]; limit.Cmp(resource.MustParse("3000Mi")) != 0 {
		t.Errorf("memory limit is %v", limit)
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, m := range c.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("no volume %s", m.Name)
		}
		delete(volumes, m.Name)
	}
	if len(volumes) != 0 {
		t.Errorf("volumes that are not mounted: %v", volumes)
	}
}

func TestIndexedMany(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	o := options
	o.Parallel = 50000
	if err := deploy.Indexed(&b, 200000, o); err != nil {
		t.Fatal(err)
	}
	var job batchv1.Job
	decode(t, b.String(), &job)
	// From 10^5 completions on, validation allows no more than 10^4 of both.
	if *job.Spec.MaxFailedIndexes > 10000 || *job.Spec.Parallelism > 10000 {
		t.Errorf("job is %+v", job.Spec)
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	nodes := []string{"gke-prod-1", "ip-10-0-0-1.ec2.internal"}
	var b bytes.Buffer
	if err := deploy.Live(&b, nodes, map[string]string{"cluster": "a \"b\": {c}"}, options); err != nil {
		t.Fatal(err)
	}
	docs := strings.Split(b.String(), "\n---\n")
	if len(docs) != 2+len(nodes) {
		t.Fatalf("%d documents", len(docs))
	}
	var namespace corev1.Namespace
	decode(t, docs[0], &namespace)
	var lines corev1.ConfigMap
	decode(t, docs[1], &lines)
	for i, name := range nodes {
		var job batchv1.Job
		decode(t, docs[2+i], &job)
		pod := job.Spec.Template.Spec
		container(t, &pod)
		c := pod.Containers[0]
		if pod.NodeName != name || job.Namespace != namespace.Name || job.Name != fmt.Sprintf("nodelens-%d", i) {
			t.Errorf("job is %s/%s on %s", job.Namespace, job.Name, pod.NodeName)
		}
		if !slices.Equal(c.SecurityContext.Capabilities.Add, []corev1.Capability{"SYS_RAWIO", "SYS_ADMIN"}) || *c.SecurityContext.Privileged || pod.HostPID || pod.HostNetwork || pod.HostIPC {
			t.Errorf("privileges are %+v, %+v", c.SecurityContext, pod)
		}
		if c.Env[0].Name != fleet.IndexVariables[0] || c.Env[0].Value != fmt.Sprint(i) {
			t.Errorf("environment is %+v", c.Env)
		}
		if job.Spec.PodFailurePolicy.Rules[0].Action != batchv1.PodFailurePolicyActionFailJob {
			t.Errorf("policy is %+v", job.Spec.PodFailurePolicy)
		}
		line := strings.Split(lines.Data["manifest.jsonl"], "\n")[i]
		if want := fmt.Sprintf(`{"uri":"/host/proc/kcore","as":%q,"labels":{"cluster":"a \"b\": {c}","node":%q}}`, name, name); line != want {
			t.Errorf("line of the manifest is %s, want %s", line, want)
		}
	}
}
