package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/ampconnector/amp/internal/host"
)

// KernelBTFPath is where a kernel with CONFIG_DEBUG_INFO_BTF shows its types, since 5.4.
const KernelBTFPath = "/sys/kernel/btf/vmlinux"

// kernelBTF says whether the kernel offers BTF. In an image, which no kernel runs, the file does not exist and nothing is known.
func kernelBTF(r host.Root) host.Reading[bool] {
	path, err := r.Path(KernelBTFPath)
	if err != nil {
		return host.NotKnown[bool](KernelBTFPath, err)
	}
	size, header, err := readBTFHeader(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !r.Live():
		return host.NotKnown[bool](KernelBTFPath, host.ErrNotRunning)
	case errors.Is(err, fs.ErrNotExist):
		return withoutBTF(r)
	case err != nil:
		return host.NotKnown[bool](KernelBTFPath, err)
	}
	if err := checkBTFHeader(size, header); err != nil {
		return host.NotKnown[bool](KernelBTFPath, fmt.Errorf("%s: %w", KernelBTFPath, err))
	}
	return host.Read(true, KernelBTFPath)
}

// withoutBTF tells a kernel without BTF from a sysfs that is not mounted.
func withoutBTF(r host.Root) host.Reading[bool] {
	if _, err := r.Stat("/sys/kernel"); err != nil {
		return host.NotKnown[bool](KernelBTFPath, fmt.Errorf("is sysfs mounted? %w", err))
	}
	return host.Read(false, KernelBTFPath)
}

const btfHeaderSize = 24 // struct btf_header, include/uapi/linux/btf.h

func readBTFHeader(path string) (size int64, header []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return 0, nil, err
	}
	header = make([]byte, btfHeaderSize)
	if n, err := io.ReadFull(f, header); err != nil {
		return 0, nil, fmt.Errorf("%s: read %d bytes of a header of %d: %w", path, n, btfHeaderSize, err)
	}
	return fi.Size(), header, nil
}

// checkBTFHeader checks that the parts which the header names lie within the file. Parsing the whole, 5 MB, costs tens of milliseconds and is left
// to who uses it.
func checkBTFHeader(size int64, b []byte) error {
	u32 := func(at int) int64 { return int64(binary.NativeEndian.Uint32(b[at:])) }
	if magic := binary.NativeEndian.Uint16(b); magic != 0xeb9f {
		return fmt.Errorf("magic is %#04x, expected 0xeb9f", magic)
	}
	if b[2] != 1 {
		return fmt.Errorf("version is %d, expected 1", b[2])
	}
	body := size - u32(4)
	for _, part := range []struct {
		name        string
		offset, len int64
	}{{"types", u32(8), u32(12)}, {"strings", u32(16), u32(20)}} {
		if part.len == 0 || part.offset+part.len > body {
			return fmt.Errorf("%s are bytes %d to %d after the header, which has %d bytes after it", part.name, part.offset, part.offset+part.len, body)
		}
	}
	return nil
}
