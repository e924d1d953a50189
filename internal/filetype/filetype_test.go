package filetype

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOf has the beginnings of files as their formats describe them.
func TestOf(t *testing.T) {
	t.Parallel()
	at := func(off int, magic string) string { return strings.Repeat("\x07", off) + magic }
	for want, files := range map[string][]string{
		"empty":          {""},
		"a JPEG picture": {"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "\xff\xd8\xff\xe1\x00\x10Exif\x00"},
		"a PNG picture":  {"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"},
		"a PDF document": {"%PDF-1.7\n%\xe2\xe3\xcf\xd3"},
		`a zip archive that begins with "s-6.1.lime"`: {"PK\x03\x04" + strings.Repeat("\x00", 22) + "\x0a\x00\x00\x00s-6.1.lime"},
		`a zip archive that begins with "\x1b[2Jx"`:   {"PK\x03\x04" + strings.Repeat("\x00", 22) + "\x05\x00\x00\x00\x1b[2Jx"},
		"a zip archive": {"PK\x03\x04"},
		`a tar archive that begins with "node.lime"`:              {"node.lime" + strings.Repeat("\x00", 257-9) + "ustar  \x00"},
		"a QEMU disk image (qcow2)":                               {"QFI\xfb\x00\x00\x00\x03"},
		"a VMware disk image (VMDK)":                              {"KDMV\x01\x00\x00\x00"},
		"a Hyper-V disk image (VHDX)":                             {"vhdxfile"},
		"a VirtualBox disk image (VDI)":                           {at(64, "\x7f\x10\xda\xbe")},
		"an XFS file system":                                      {"XFSB\x00\x00\x10\x00"},
		"a Btrfs file system":                                     {at(65600, "_BHRfS_M")},
		"the image of a CD (ISO 9660)":                            {at(32769, "CD001")},
		"a disk with partitions (GPT)":                            {at(512, "EFI PART\x00\x00\x01\x00")},
		"an ELF program, such as a vmlinux":                       {"\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00\x3e\x00"},
		"an ELF object, such as a kernel module":                  {"\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x01\x00\x3e\x00"},
		"an ELF core of an arm64 machine, which is not supported": {"\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x04\x00\xb7\x00"},
		"an ELF core of an IBM Z machine, which is not supported": {"\x7fELF\x02\x02\x01" + strings.Repeat("\x00", 9) + "\x00\x04\x00\x16"},
		"an ELF core that is not of a machine's physical memory":  {"\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x04\x00\x3e\x00"},
		"a program of Windows or EFI":                             {"MZ" + strings.Repeat("\x00", 0x3a) + "\x40\x00\x00\x00PE\x00\x00"},
		"a kernel to boot (bzImage)":                              {"MZ" + at(512, "HdrS")},
		"a JSON text":                                             {`{"a": 1}`, `[1, 2]`, MarkUTF8 + `{"a": 1}`},
		"a JSON text, as ISF symbol files are":                    {`{"metadata": {"format": "6.2.0"}}`, "{\n  \"base_types\": {"},
		"a report of Nodelens":                                    {`{"schema":"nodelens/node/v3","kernel":{}}`},
		"the manifest of a capture":                               {`{"schema": "nodelens/capture/v1"}`},
		"a list of symbols, such as System.map":                   {"ffffffff81000000 T _text\nffffffff81000000 T startup_64\n"},
		"a web page":                                              {"<!DOCTYPE html>\n<html>", "\n<HTML>"},
		"an XML text":                                             {"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>"},
		"a pointer of Git LFS":                                    {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n"},
		"a text":                                                  {"no image\n", "gr\u00fc\u00df dich\n", "half a character \xe2\x82"},
		"a text in UTF-16":                                        {"\xff\xfe{\x00\"\x00m\x00\"\x00", "\xfe\xff\x00{\x00\"\x00m"},
	} {
		for _, file := range files {
			got, ok := Of(strings.NewReader(file))
			if !ok || got.Is != want {
				t.Errorf("%.40q: %q, %v, want %q", file, got.Is, ok, want)
			}
		}
	}
}

// Memory is none of these, whatever it begins with.
func TestNotMemory(t *testing.T) {
	t.Parallel()
	noise := make([]byte, HeadSize)
	rng := rand.NewChaCha8([32]byte{7})
	rng.Read(noise)
	half := bytes.Repeat([]byte("a log line of a page\n"), 200)
	sector := make([]byte, HeadSize)
	copy(sector[510:], "\x55\xaa")
	ext := make([]byte, HeadSize)
	copy(ext[1024+56:], "\x53\xef")
	for name, head := range map[string][]byte{
		"zeros": make([]byte, HeadSize), "noise": noise, "a page of text": append(half, noise...),
		"the mark of a boot sector": sector, "two bytes of ext4": ext, "a byte": {7}, "part of a magic": []byte("\x7fEL\x00"),
	} {
		if got, ok := OfHead(head); ok {
			t.Errorf("%s: %q", name, got.Is)
		}
	}
}

// TestMade compares with what the tools of this machine make.
func TestMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "member"), []byte("of an archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ command, want string }{
		"ext4":     {"truncate -s 8M f && mkfs.ext4 -q -F f", "an ext4 file system"},
		"ext2":     {"truncate -s 8M f && mkfs.ext2 -q -F f", "an ext4 file system"},
		"xfs":      {"truncate -s 400M f && mkfs.xfs -q f", "an XFS file system"},
		"btrfs":    {"truncate -s 200M f && mkfs.btrfs -q f", "a Btrfs file system"},
		"vfat":     {"truncate -s 64M f && mkfs.vfat -F 32 f", "a FAT file system"},
		"swap":     {"truncate -s 8M f && mkswap f", "a swap area"},
		"squashfs": {"mksquashfs member f -quiet -no-progress", "a SquashFS file system"},
		"mbr":      {"truncate -s 8M f && echo 2048,4096,83 | sfdisk -q f", "a disk with partitions (MBR)"},
		"gpt":      {"truncate -s 8M f && echo 2048,4096 | sfdisk -q -X gpt f", "a disk with partitions (GPT)"},
		"tar":      {"tar -cf f member", `a tar archive that begins with "member"`},
		"zip":      {"zip -q f.zip member && mv f.zip f", `a zip archive that begins with "member"`},
		"python":   {"python3 -m zipfile -c f member", `a zip archive that begins with "member"`},
		"cpio":     {"echo member | cpio -o -H newc > f", "a cpio archive"},
		"bzip2":    {"bzip2 -c member > f", "compressed by bzip2, which has no random access"},
		"qcow2":    {"qemu-img create -q -f qcow2 f 8M", "a QEMU disk image (qcow2)"},
		"vmdk":     {"qemu-img create -q -f vmdk f 8M", "a VMware disk image (VMDK)"},
		"vhdx":     {"qemu-img create -q -f vhdx f 8M", "a Hyper-V disk image (VHDX)"},
		"vdi":      {"qemu-img create -q -f vdi f 8M", "a VirtualBox disk image (VDI)"},
		"program":  {"cp /proc/self/exe f", "an ELF program, such as a vmlinux"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sub := t.TempDir()
			if err := os.Link(filepath.Join(dir, "member"), filepath.Join(sub, "member")); err != nil {
				t.Fatal(err)
			}
			c := exec.CommandContext(t.Context(), "sh", "-c", test.command)
			c.Dir, c.Env = sub, append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
			if out, err := c.CombinedOutput(); err != nil {
				t.Skipf("%v: %s", err, out)
			}
			f, err := os.Open(filepath.Join(sub, "f"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if got, ok := Of(f); !ok || got.Is != test.want {
				t.Errorf("%q, %v, want %q", got.Is, ok, test.want)
			}
		})
	}
}

func FuzzOfHead(f *testing.F) {
	for _, s := range signs {
		f.Add([]byte(strings.Repeat("\x00", s.offset) + s.magic))
	}
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if got, ok := OfHead(head); ok != (got.Is != "") {
			t.Errorf("%v, %q", ok, got.Is)
		}
	})
}
