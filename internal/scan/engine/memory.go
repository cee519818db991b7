package engine

import "github.com/ebitengine/purego"

// Parameters of mallopt(3).
const (
	trimThreshold = -1
	mmapThreshold = -3
)

// keptMemory is how much memory that is free again glibc keeps at the end of each of its heaps, and what an allocation has to exceed to become
// a mapping of its own, in bytes; the most that glibc takes for the latter.
const keptMemory = 32 << 20

// keepMemory has glibc keep what a scan gives back. For each file the library allocates, and clears, some megabytes, as many as the definitions have
// combinations: with glibc's own settings they went back to the kernel after each file, and came again page by page.
func keepMemory() {
	address, err := purego.Dlsym(purego.RTLD_DEFAULT, "mallopt")
	if err != nil {
		return // another C library
	}
	var mallopt func(parameter, value int32) int32
	purego.RegisterFunc(&mallopt, address)
	mallopt(trimThreshold, keptMemory)
	mallopt(mmapThreshold, keptMemory)
}
