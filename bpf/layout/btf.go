package layout

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf/btf"

	"github.com/ampconnector/amp/internal/host"
)

// Bounds of an object that the compiler made; those of real kernels have 0.5 MB, and 2 MB of debug information in them.
const (
	maxObject   = 32 << 20
	maxSections = 256
	maxContents = 64 << 20 // bytes of all sections, unpacked
)

// fromObject makes BTF of the debug information of an ELF object.
func fromObject(object io.ReaderAt) ([]byte, error) {
	f, err := elf.NewFile(object)
	if err != nil {
		return nil, err
	}
	if err := checkSections(f); err != nil {
		return nil, err
	}
	data, err := f.DWARF()
	if err != nil {
		return nil, fmt.Errorf("debug information: %w", err)
	}
	types, err := fromDWARF(data)
	if err != nil {
		return nil, err
	}
	b, err := btf.NewBuilder(types, nil)
	if err != nil {
		return nil, fmt.Errorf("make BTF: %w", err)
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("make BTF: %w", err)
	}
	return raw, nil
}

// checkSections bounds what is read, before it is unpacked.
func checkSections(f *elf.File) error {
	if f.Type != elf.ET_REL {
		return fmt.Errorf("an ELF file of type %s, expected %s", f.Type, elf.ET_REL)
	}
	if len(f.Sections) > maxSections {
		return fmt.Errorf("%d sections, expected %d at most", len(f.Sections), maxSections)
	}
	left := uint64(maxContents)
	for _, s := range f.Sections {
		if len(s.Name) > 7 && s.Name[:7] == ".zdebug" { // as of GCC before 5; its size stands within
			return fmt.Errorf("section %s is packed in the old way", s.Name)
		}
		if s.Type == elf.SHT_NOBITS {
			continue
		}
		if s.Size > left {
			return fmt.Errorf("%w: the sections have more than %d bytes", host.ErrTooLarge, maxContents)
		}
		left -= s.Size
	}
	if f.Section(".debug_info") == nil {
		return errNoDebugInfo
	}
	return nil
}

var errNoDebugInfo = errors.New("no section .debug_info")

// parse reads BTF. The library is fuzzed by its authors; what it reads here is bounded by those who read the bytes.
func parse(b []byte) (*btf.Spec, error) {
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if _, err := spec.AnyTypeByName("task_struct"); errors.Is(err, btf.ErrNotFound) {
		return nil, errors.New("no struct task_struct: this is not the BTF of a kernel")
	}
	return spec, nil
}
