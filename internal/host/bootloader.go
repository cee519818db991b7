package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
)

// BootLoaderKind is the way in which a host keeps which kernel boots.
type BootLoaderKind string

const (
	// Grubby is the tool of Fedora and Enterprise Linux, which knows the boot loaders of all their architectures (grubby(8)).
	Grubby BootLoaderKind = "grubby"
	// GRUB is GRUB 2 as Debian, Ubuntu and SUSE set it up, with its saved entry (grub-set-default(8), grub2-set-default(8)).
	GRUB BootLoaderKind = "grub"
	// SystemdBoot is systemd-boot(7), with bootctl(1).
	SystemdBoot BootLoaderKind = "systemd-boot"
)

// BootLoader is what decides which kernel boots next.
type BootLoader struct {
	Kind   BootLoaderKind
	Tool   string // that sets the default: its path
	Config string // GRUB: grub.cfg
	// Saved says that GRUB boots the saved entry. Where its configuration names an entry itself, a saved one changes nothing.
	Saved bool
	// Entries are the names by which Tool knows the kernels, by release. Those of Grubby are paths and not listed here.
	Entries map[string]string
}

// Entry is the name by which the loader's tool knows a kernel; ok is false where it has none.
func (b BootLoader) Entry(release string) (entry string, ok bool) {
	if b.Kind == Grubby {
		return "/boot/vmlinuz-" + release, true
	}
	entry, ok = b.Entries[release]
	return entry, ok
}

// ErrNoBootLoader is in the chain of a BootLoader's error where the host has none that is known, such as a container or a machine that its
// hypervisor boots.
var ErrNoBootLoader = errors.New("no boot loader is known: neither grubby, nor GRUB with its configuration, nor systemd-boot")

const (
	maxGrubConfig  = 4 << 20
	maxBootEntries = 256
	loaderInfo     = "/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f" // systemd's boot loader interface
	loaderEntries  = "/boot/loader/entries"                                                      // Boot Loader Specification, type 1
)

// BootLoaderOf finds the boot loader of the host. A host may have the remains of several: the one that booted it tells so itself, if it is
// systemd-boot; grubby knows what it may touch; GRUB is told by its configuration.
func BootLoaderOf(r Root) Reading[BootLoader] {
	if name, err := efiText(r, loaderInfo); err == nil && strings.HasPrefix(name, "systemd-boot") {
		return systemdBoot(r)
	}
	if tool, ok := FindTool(r, "grubby"); ok {
		return Read(BootLoader{Kind: Grubby, Tool: tool}, tool)
	}
	return grub(r)
}

func grub(r Root) Reading[BootLoader] {
	for _, g := range []struct{ config, tool string }{
		{"/boot/grub/grub.cfg", "grub-set-default"},
		{"/boot/grub2/grub.cfg", "grub2-set-default"},
	} {
		b, err := r.ReadFile(g.config, maxGrubConfig)
		if absent(err) {
			continue
		}
		if err != nil {
			return NotKnown[BootLoader](g.config, err)
		}
		tool, ok := FindTool(r, g.tool)
		if !ok {
			return NotKnown[BootLoader](g.config, fmt.Errorf("%s is there, and there is no program %s in %s", g.config, g.tool, strings.Join(toolFolders, ", ")))
		}
		l := ParseGrubConfig(b)
		l.Tool, l.Config = tool, g.config
		return Read(l, g.config)
	}
	return NotKnown[BootLoader]("/boot", ErrNoBootLoader)
}

var (
	// grubEntry is a menu entry or a submenu as grub-mkconfig writes it, with the id that it has for grub-set-default.
	grubEntry = regexp.MustCompile(`^\s*(menuentry|submenu)\s.*\$menuentry_id_option\s+'([^'>\s]{1,256})'\s*\{\s*$`)
	// grubKernelID is the id of a kernel's usual entry, not that of its recovery mode.
	grubKernelID = regexp.MustCompile(`^gnulinux-(.+)-advanced-[^-].*$`)
	grubSaved    = []byte(`set default="${saved_entry}"`)
)

// ParseGrubConfig reads which kernels GRUB's menu has, and whether it boots the saved entry, from what grub-mkconfig(8) wrote. An entry in a
// submenu is named by both ids with a > between.
func ParseGrubConfig(b []byte) BootLoader {
	l := BootLoader{Kind: GRUB, Saved: bytes.Contains(b, grubSaved), Entries: map[string]string{}}
	submenu, depth := "", 0
	for line := range bytes.Lines(b) {
		m := grubEntry.FindSubmatch(bytes.TrimRight(line, "\r\n"))
		switch text := strings.TrimSpace(string(line)); {
		case m != nil && string(m[1]) == "submenu":
			submenu, depth = string(m[2])+">", 1
		case m != nil:
			depth = deeper(depth, submenu)
			l.add(submenu, string(m[2]))
		case submenu != "" && strings.HasSuffix(text, "{"):
			depth++
		case submenu != "" && text == "}":
			if depth--; depth == 0 {
				submenu = ""
			}
		}
	}
	return l
}

// deeper counts braces only within a submenu, whose end has to be found.
func deeper(depth int, submenu string) int {
	if submenu == "" {
		return depth
	}
	return depth + 1
}

func (b *BootLoader) add(submenu, id string) {
	m := grubKernelID.FindStringSubmatch(id)
	if m == nil || CheckRelease(m[1]) != nil || len(b.Entries) >= maxBootEntries {
		return
	}
	if _, known := b.Entries[m[1]]; !known {
		b.Entries[m[1]] = submenu + id
	}
}

// systemdBoot reads the entries that name their kernel. Unified kernel images, which lie on the EFI system partition, are not listed.
func systemdBoot(r Root) Reading[BootLoader] {
	tool, ok := FindTool(r, "bootctl")
	if !ok {
		return NotKnown[BootLoader](loaderInfo, fmt.Errorf("systemd-boot booted this host, and there is no program bootctl in %s", strings.Join(toolFolders, ", ")))
	}
	l := BootLoader{Kind: SystemdBoot, Tool: tool, Saved: true, Entries: map[string]string{}}
	files, err := r.ReadDir(loaderEntries)
	if err != nil {
		return NotKnown[BootLoader](loaderEntries, err)
	}
	for _, f := range files[:min(len(files), maxBootEntries)] {
		if !strings.HasSuffix(f.Name(), ".conf") {
			continue
		}
		b, err := r.ReadFile(loaderEntries+"/"+f.Name(), headerFileLimit)
		if err != nil {
			return NotKnown[BootLoader](loaderEntries+"/"+f.Name(), err)
		}
		if release := entryVersion(b); CheckRelease(release) == nil {
			l.Entries[release] = f.Name()
		}
	}
	return Read(l, loaderEntries)
}

// entryVersion is the version of a boot loader entry.
func entryVersion(b []byte) string {
	for line := range bytes.Lines(b) {
		if words := strings.Fields(string(line)); len(words) == 2 && words[0] == "version" {
			return words[1]
		}
	}
	return ""
}

// maxEFIText bounds an EFI variable that is read as text, in bytes.
const maxEFIText = 4 << 10

// efiText reads an EFI variable that holds text: four bytes of attributes, then UTF-16 (Linux, Documentation/filesystems/efivarfs.rst).
func efiText(r Root, path string) (string, error) {
	b, err := r.ReadFile(path, maxEFIText)
	if err != nil {
		return "", err
	}
	if len(b) < 4 || len(b)%2 != 0 {
		return "", fmt.Errorf("%s: %w: %d bytes, expected four and a text in UTF-16", path, ErrMalformed, len(b))
	}
	var text []uint16
	for at := 4; at < len(b); at += 2 {
		if c := binary.LittleEndian.Uint16(b[at:]); c != 0 {
			text = append(text, c)
		}
	}
	return string(utf16.Decode(text)), nil
}
