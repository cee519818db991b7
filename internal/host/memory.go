package host

import (
	"fmt"
	"strconv"
	"strings"
)

const meminfoPath = "/proc/meminfo"

// memory reads the running host's memory.
func memory(r Root) Reading[Memory] {
	if !r.Live() {
		return NotKnown[Memory](meminfoPath, ErrNotRunning)
	}
	b, err := r.ReadFile(meminfoPath, 64<<10)
	if err != nil {
		return NotKnown[Memory](meminfoPath, err)
	}
	m, err := ParseMeminfo(meminfoPath, b)
	if err != nil {
		return NotKnown[Memory](meminfoPath, err)
	}
	return Read(m, meminfoPath)
}

// ParseMeminfo reads /proc/meminfo (proc(5)), whose numbers are in KiB. Kernels before 3.14 have no MemAvailable: free memory,
// buffers and cache stand for it there.
func ParseMeminfo(name string, b []byte) (Memory, error) {
	kib := map[string]uint64{}
	for line := range strings.Lines(string(b)) {
		key, rest, ok := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if !ok || len(fields) == 0 {
			continue
		}
		if n, err := strconv.ParseUint(fields[0], 10, 50); err == nil {
			kib[key] = n
		}
	}
	total, ok := kib["MemTotal"]
	if !ok || total == 0 {
		return Memory{}, fmt.Errorf("open %s: no MemTotal: %w", name, ErrMalformed)
	}
	available, ok := kib["MemAvailable"]
	if !ok {
		available = min(total, kib["MemFree"]+kib["Buffers"]+kib["Cached"])
	}
	return Memory{Total: total << 10, Available: available << 10}, nil
}
