package main

import "testing"

// The names are those of the Kubernetes documentation and of nodes in use.
func TestCgroupParent(t *testing.T) {
	const uid = "0a9e6a54-51f7-4a1c-9d3c-6f1b2f3c7d10"
	for _, c := range []struct {
		uid, class string
		systemd    bool
		want       string
	}{
		{uid, "guaranteed", true, "/kubepods.slice/kubepods-pod0a9e6a54_51f7_4a1c_9d3c_6f1b2f3c7d10.slice"},
		{uid, "burstable", true, "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a9e6a54_51f7_4a1c_9d3c_6f1b2f3c7d10.slice"},
		{"4c1d7a0e9b2f4e63a5d8c7b6f0a1e2d3", "besteffort", true, "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod4c1d7a0e9b2f4e63a5d8c7b6f0a1e2d3.slice"},
		{uid, "guaranteed", false, "/kubepods/pod0a9e6a54-51f7-4a1c-9d3c-6f1b2f3c7d10"},
		{uid, "besteffort", false, "/kubepods/besteffort/pod0a9e6a54-51f7-4a1c-9d3c-6f1b2f3c7d10"},
	} {
		if got := (pod{UID: c.uid, QoS: c.class}).cgroupParent(c.systemd); got != c.want {
			t.Errorf("%s, systemd %v: %s, want %s", c.class, c.systemd, got, c.want)
		}
	}
}

func TestPodsOfTheLab(t *testing.T) {
	pods, err := readPods("../guest/pods.json")
	if err != nil {
		t.Fatal(err)
	}
	classes, static := map[string]bool{}, 0
	for _, p := range pods {
		classes[p.QoS] = true
		if p.static() {
			static++
		}
	}
	if len(pods) < 4 || len(classes) != 3 || static == 0 {
		t.Errorf("%d pods of classes %v, %d static", len(pods), classes, static)
	}
}
