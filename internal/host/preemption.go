package host

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Where a kernel with CONFIG_PREEMPT_DYNAMIC (5.12) tells which of its modes it is in, the one in parentheses ("none (voluntary) full
// lazy", kernel/sched/debug.c), and where it was told at boot.
const (
	preemptMode   = "/sys/kernel/debug/sched/preempt"
	kernelCmdline = "/proc/cmdline"

	maxPreemptMode = 256
	maxCmdline     = 64 << 10
)

// Kernels may preempt their own code if this is "y", whichever model it is; before 5.4 only CONFIG_PREEMPT was there.
const optionPreemption = "CONFIG_PREEMPTION"

// preemptModes are the words for the modes: does the kernel preempt its own code.
var preemptModes = map[string]bool{"none": false, "voluntary": false, "full": true, "lazy": true}

// Preemptible reads whether the kernel at r preempts its own code: by how it was built, and, where that leaves it open until boot or
// even later, by the mode that it is in.
func Preemptible(r Root) Reading[bool] {
	release := kernelRelease(r, "")
	if release.Err != nil {
		return NotKnown[bool](release.From, release.Err)
	}
	config := KernelConfig(r, release.Value, optionPreemption, "CONFIG_PREEMPT", "CONFIG_PREEMPT_DYNAMIC", "CONFIG_PREEMPT_NONE", "CONFIG_PREEMPT_VOLUNTARY")
	if config.Err != nil {
		return NotKnown[bool](config.From, config.Err)
	}
	on := func(option string) bool { return config.Value[option] == "y" }
	switch {
	case !on(optionPreemption) && !on("CONFIG_PREEMPT"):
		return Read(false, config.From)
	case !on("CONFIG_PREEMPT_DYNAMIC"):
		return Read(true, config.From)
	}
	if mode := currentPreemptMode(r); !errors.Is(mode.Err, fs.ErrNotExist) && !errors.Is(mode.Err, fs.ErrPermission) {
		return mode
	}
	if mode := bootPreemptMode(r); mode.From != "" {
		return mode
	}
	return Read(!on("CONFIG_PREEMPT_NONE") && !on("CONFIG_PREEMPT_VOLUNTARY"), config.From)
}

// currentPreemptMode asks debugfs, which may not be mounted, and which lockdown closes.
func currentPreemptMode(r Root) Reading[bool] {
	b, err := r.ReadFile(preemptMode, maxPreemptMode)
	if err != nil {
		return NotKnown[bool](preemptMode, err)
	}
	_, rest, _ := strings.Cut(string(b), "(")
	word, _, _ := strings.Cut(rest, ")")
	full, ok := preemptModes[word]
	if !ok {
		return NotKnown[bool](preemptMode, fmt.Errorf("%s: %q: %w: one of none, voluntary, full and lazy in parentheses expected", preemptMode, b, ErrMalformed))
	}
	return Read(full, preemptMode)
}

// bootPreemptMode is the last preempt= of the kernel's command line that names a mode; the kernel passes over others. From is "" where there is none.
func bootPreemptMode(r Root) Reading[bool] {
	var mode Reading[bool]
	b, err := r.ReadFile(kernelCmdline, maxCmdline)
	if err != nil {
		return NotKnown[bool](kernelCmdline, err)
	}
	for word := range strings.FieldsSeq(string(b)) {
		if name, ok := strings.CutPrefix(word, "preempt="); ok {
			if full, ok := preemptModes[name]; ok {
				mode = Read(full, kernelCmdline)
			}
		}
	}
	return mode
}
