package kmod

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/ampconnector/amp/internal/host"
)

// ModuleInfo is what a .ko says of itself (modinfo(8)).
type ModuleInfo struct {
	Name          string
	VersionMagic  string   // release and build of the kernel that it is for
	SourceVersion string   // a hash of its sources, "" where it was built without
	Sources       string   // which sources of ours it was made of, "" where it is none of ours
	Depends       []string // modules that it needs
	Undefined     []string // symbols that it needs, sorted
	Signed        bool
}

// Bounds of a module file.
const (
	maxModule    = 64 << 20 // with debug information
	maxModinfo   = 64 << 10
	maxUndefined = 4096
)

// ReadModuleInfo reads a .ko, of at most 64 MiB.
func ReadModuleInfo(name string, f io.ReaderAt) (info ModuleInfo, err error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxModule+1))
	if err == nil && len(b) > maxModule {
		err = fmt.Errorf("%w: more than %d bytes", host.ErrTooLarge, maxModule)
	}
	if err == nil {
		info, err = parseModule(b)
	}
	if err != nil {
		return ModuleInfo{}, fmt.Errorf("%s: %w", name, err)
	}
	return info, nil
}

func parseModule(b []byte) (ModuleInfo, error) {
	file, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return ModuleInfo{}, fmt.Errorf("%w: %w", host.ErrMalformed, err)
	}
	section := file.Section(".modinfo")
	if section == nil || section.Type != elf.SHT_PROGBITS || section.Size > maxModinfo {
		return ModuleInfo{}, fmt.Errorf("%w: no section .modinfo of at most %d bytes", host.ErrMalformed, maxModinfo)
	}
	text, err := section.Data()
	if err != nil {
		return ModuleInfo{}, fmt.Errorf("%w: section .modinfo: %w", host.ErrMalformed, err)
	}
	info := ModuleInfo{Signed: bytes.HasSuffix(b, []byte(signatureMark))}
	for field := range strings.SplitSeq(string(text), "\x00") {
		key, value, _ := strings.Cut(field, "=")
		value = printable(value)
		switch key {
		case "name":
			info.Name = value
		case "vermagic":
			info.VersionMagic = strings.TrimSpace(value)
		case "srcversion":
			info.SourceVersion = value
		case "amp_sources":
			info.Sources = value
		case "depends":
			info.Depends = strings.FieldsFunc(value, func(c rune) bool { return c == ',' })
		}
	}
	symbols, err := file.Symbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return ModuleInfo{}, fmt.Errorf("%w: symbols: %w", host.ErrMalformed, err)
	}
	for _, s := range symbols {
		if s.Section == elf.SHN_UNDEF && s.Name != "" && len(info.Undefined) < maxUndefined {
			info.Undefined = append(info.Undefined, printable(s.Name))
		}
	}
	slices.Sort(info.Undefined)
	return info, nil
}

// LoadedModule is a module that the kernel has under a name.
type LoadedModule struct {
	Name          string
	SourceVersion string // "" where it was built without
	File          string // where the running kernel's modules have it, "" if they do not
}

const maxModulesDep = 16 << 20

// FindLoaded reads which module the running kernel has under a name, nil if none.
func FindLoaded(r host.Root, release, name string) host.Reading[*LoadedModule] {
	folder := path.Join("/sys/module", name)
	if _, err := r.ReadDir(folder); errors.Is(err, fs.ErrNotExist) {
		return host.Read[*LoadedModule](nil, folder)
	} else if err != nil {
		return host.NotKnown[*LoadedModule](folder, err)
	}
	loaded := &LoadedModule{Name: name}
	b, err := r.ReadFile(path.Join(folder, "srcversion"), maxText)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return host.NotKnown[*LoadedModule](folder, err)
	}
	loaded.SourceVersion = printable(strings.TrimSpace(string(b)))
	loaded.File = moduleFile(r, release, name)
	return host.Read(loaded, folder)
}

// moduleFile finds a module's file in modules.dep, whose lines begin with it: "updates/dkms/x.ko.xz: …". The kernel takes - for _ in names.
func moduleFile(r host.Root, release, name string) string {
	folder := path.Join("/lib/modules", release)
	b, err := r.ReadFile(path.Join(folder, "modules.dep"), maxModulesDep)
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(b) {
		file, _, _ := strings.Cut(string(line), ":")
		base, _, ok := strings.Cut(path.Base(file), ".ko")
		if ok && strings.ReplaceAll(base, "-", "_") == name {
			return path.Join(folder, file)
		}
	}
	return ""
}
