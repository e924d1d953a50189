// Mkimage packs files into a container image of one layer, as an archive that "ctr images import" takes.
//
//	mkimage -name NAME:TAG [-entrypoint PATH] OUT.tar FILE=PATH ... LINK@TARGET ...
//
// FILE=PATH puts a file of this machine at PATH, executable; LINK@TARGET makes a symbolic link.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("mkimage: ")
	name := flag.String("name", "", "image `name` and tag")
	entry := flag.String("entrypoint", "", "`path` of what runs where nothing else is said")
	flag.Parse()
	if *name == "" || flag.NArg() < 2 {
		flag.Usage()
		os.Exit(2)
	}
	out, err := pack(*name, *entry, flag.Args()[1:])
	if err == nil {
		err = os.WriteFile(flag.Arg(0), out, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// entry is one member of a tar archive.
type entry struct {
	tar.Header
	data []byte
}

// pack returns the archive: a layer, its configuration, and the manifest that names both.
func pack(name, entrypoint string, members []string) ([]byte, error) {
	files, err := layer(members)
	if err != nil {
		return nil, err
	}
	raw, err := archive(files)
	if err != nil {
		return nil, err
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(raw))
	run := map[string]any{"Env": []string{"PATH=/usr/bin:/bin"}}
	if entrypoint != "" {
		run["Entrypoint"] = []string{entrypoint}
	}
	config, err := json.Marshal(map[string]any{"architecture": "amd64", "os": "linux", "config": run,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest}}})
	if err != nil {
		return nil, err
	}
	configName, layerName := fmt.Sprintf("%x.json", sha256.Sum256(config)), digest+"/layer.tar"
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{name}, "Layers": []string{layerName}}})
	if err != nil {
		return nil, err
	}
	return archive([]entry{file(configName, config), file(layerName, raw), file("manifest.json", manifest)})
}

// layer reads the members, below the directories that a runtime mounts on.
func layer(members []string) ([]entry, error) {
	var all []entry
	for _, dir := range []string{"bin", "dev", "etc", "proc", "run", "sys", "tmp"} {
		all = append(all, entry{Header: tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755}})
	}
	for _, m := range members {
		if from, to, ok := strings.Cut(m, "="); ok {
			data, err := os.ReadFile(from)
			if err != nil {
				return nil, err
			}
			all = append(all, file(to, data))
		} else if from, to, ok := strings.Cut(m, "@"); ok {
			all = append(all, entry{Header: tar.Header{Name: from, Linkname: to, Typeflag: tar.TypeSymlink, Mode: 0o777}})
		} else {
			return nil, fmt.Errorf("%q is neither FILE=PATH nor LINK@TARGET", m)
		}
	}
	return all, nil
}

func file(name string, data []byte) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(data))}, data: data}
}

func archive(members []entry) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		if err := w.WriteHeader(&m.Header); err != nil {
			return nil, err
		}
		if _, err := w.Write(m.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
