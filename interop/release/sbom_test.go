package release_test

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// written returns the bill of materials of a command of ours, and what that says of itself.
func written(t *testing.T) ([]byte, *debug.BuildInfo) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "vmlinux2isf.exe")
	run(t, "build", "-o", program, "./examples/vmlinux2isf")
	info, err := buildinfo.ReadFile(program)
	if err != nil || len(info.Deps) < 2 {
		t.Fatalf("it says nothing of itself: %v, %v", info, err)
	}
	return run(t, "run", "./release", "-sbom", program), info
}

// run runs the go command in the library.
func run(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var errs bytes.Buffer
	cmd.Dir, cmd.Stderr = filepath.Join("..", ".."), &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return out
}

// published returns the schema as CycloneDX publishes it with its library, and those that it refers to.
func published(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for file, url := range map[string]string{"bom-1.6.schema.json": "bom-1.6.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schemax.json": "jsf-0.82.schema.json"} {
		f, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "schema", file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		v, err := jsonschema.UnmarshalJSON(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("http://cyclonedx.org/schema/"+url, v); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchema holds a bill of materials against the schema, and that against what is spoiled: it must see something.
func TestSchema(t *testing.T) {
	schema := published(t)
	bill, _ := written(t)
	for name, spoil := range map[string][2]string{
		"as written":       {},
		"another format":   {`"CycloneDX"`, `"Cyclone"`},
		"no serial number": {`"urn:uuid:`, `"urn:uuid:no`},
		"no digest":        {`"SHA-256"`, `"SHA-2"`},
		"no type":          {`"type": "library"`, `"type": "book"`},
		"an unknown word":  {`"bom-ref"`, `"bomref"`},
	} {
		text := strings.Replace(string(bill), spoil[0], spoil[1], 1)
		if name != "as written" && text == string(bill) {
			t.Errorf("%s: the bill has no %s", name, spoil[0])
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); (err == nil) != (name == "as written") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLibrary reads a bill of materials by CycloneDX's library: it has the modules of the program, by the names that scanners look for.
func TestLibrary(t *testing.T) {
	bill, info := written(t)
	var b cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(bill), cyclonedx.BOMFileFormatJSON).Decode(&b); err != nil {
		t.Fatal(err)
	}
	if b.Components == nil {
		t.Fatal("it has nothing in it")
	}
	found := map[string]string{}
	for _, c := range *b.Components {
		found[c.PackageURL] = c.Version
	}
	for _, m := range info.Deps {
		if url := "pkg:golang/" + strings.ToLower(m.Path) + "@" + m.Version; found[url] != m.Version {
			t.Errorf("there is no %s", url)
		}
	}
	if found["pkg:golang/std@"+strings.TrimPrefix(info.GoVersion, "go")] != info.GoVersion {
		t.Errorf("there is no library of Go: %v", found)
	}
	if b.Dependencies == nil || len(*b.Dependencies) != len(found)+2 {
		t.Error("it does not say what depends on what")
	}
}
