package host

import (
	"errors"
	"fmt"
	"strings"
)

// ModuleLoading is what a running kernel asks of a module before it loads it, and which keys it trusts for that.
type ModuleLoading struct {
	Disabled   Reading[bool]     // sysctl kernel.modules_disabled: none can be loaded until the next boot
	Enforced   Reading[bool]     // module.sig_enforce: only signed ones
	Lockdown   Reading[Lockdown] // lockdown(7)
	Signatures Reading[bool]     // the kernel can check signatures: CONFIG_MODULE_SIG
	Keys       Reading[[]KernelKey]
	SecureBoot SecureBoot
}

// Lockdown is a mode of lockdown(7).
type Lockdown string

// The modes. Each but NoLockdown refuses modules without a good signature.
const (
	NoLockdown              Lockdown = "none"
	LockdownIntegrity       Lockdown = "integrity"
	LockdownConfidentiality Lockdown = "confidentiality"
)

const (
	modulesDisabledFile = "/proc/sys/kernel/modules_disabled"
	enforcedFile        = "/sys/module/module/parameters/sig_enforce"
	lockdownFile        = "/sys/kernel/security/lockdown"
	securityModules     = "/sys/kernel/security/lsm"

	maxKernelSwitch = 256 // bytes of a file with one value
)

var errNotMounted = errors.New("not mounted")

// NeedsSignature reports whether the kernel refuses a module without a signature of a key that it trusts. What cannot be read keeps it from being
// known only if nothing else says yes.
func (m ModuleLoading) NeedsSignature() Reading[bool] {
	locked := Reading[bool]{From: m.Lockdown.From, Err: m.Lockdown.Err, Value: m.Lockdown.Value != NoLockdown}
	answer := Read(false, enforcedFile)
	for _, one := range []Reading[bool]{m.Enforced, locked} {
		switch {
		case one.Known() && one.Value:
			return one
		case !one.Known():
			answer = one
		}
	}
	return answer
}

// ModuleLoadingOf reads the running host's kernel; whether it can check signatures is told by the build configuration of k.
func ModuleLoadingOf(r Root, k Reading[Kernel]) ModuleLoading {
	if !r.Live() {
		m := noModuleLoading(r.Dir(), ErrNotRunning)
		m.Signatures = checksSignatures(k)
		return m
	}
	return moduleLoading(r, k, keyringMembers)
}

func moduleLoading(r Root, k Reading[Kernel], members func(keyring int32) ([]int32, error)) ModuleLoading {
	return ModuleLoading{
		Disabled: kernelSwitch(r, modulesDisabledFile), Enforced: enforced(r), Lockdown: lockdown(r), Signatures: checksSignatures(k),
		Keys: kernelKeys(r, members), SecureBoot: SecureBootOf(r),
	}
}

func noModuleLoading(from string, err error) ModuleLoading {
	no := NotKnown[bool](from, err)
	return ModuleLoading{
		Disabled: no, Enforced: no, Lockdown: NotKnown[Lockdown](from, err), Signatures: no, Keys: NotKnown[[]KernelKey](from, err), SecureBoot: noSecureBoot(from, err),
	}
}

func checksSignatures(k Reading[Kernel]) Reading[bool] {
	if !k.Known() {
		return NotKnown[bool](k.From, k.Err)
	}
	c := k.Value.Config
	return Reading[bool]{Value: c.Value[optionModuleSig] == "y", From: c.From, Err: c.Err}
}

// kernelSwitch reads a file with 0, 1, Y or N in it. What is not there is a kernel without modules, whose /proc or /sys is there.
func kernelSwitch(r Root, file string) Reading[bool] {
	b, err := r.ReadFile(file, maxKernelSwitch)
	if err != nil {
		return NotKnown[bool](file, err)
	}
	switch word := strings.TrimSpace(string(b)); word {
	case "1", "Y":
		return Read(true, file)
	case "0", "N":
		return Read(false, file)
	default:
		return NotKnown[bool](file, fmt.Errorf("%s: %w: %q, expected 0, 1, Y or N", file, ErrMalformed, word))
	}
}

// enforced reads whether only signed modules are loaded. A kernel that cannot check signatures has no such parameter.
func enforced(r Root) Reading[bool] {
	on := kernelSwitch(r, enforcedFile)
	if absent(on.Err) {
		if there, err := r.exists("/sys/module"); err == nil && there {
			return Read(false, enforcedFile)
		}
	}
	return on
}

// lockdown reads the mode, which is the word in brackets: "none [integrity] confidentiality". Where security modules are listed and this one has no
// file the kernel does not have it.
func lockdown(r Root) Reading[Lockdown] {
	b, err := r.ReadFile(lockdownFile, maxKernelSwitch)
	if absent(err) {
		if there, err := r.exists(securityModules); err == nil && there {
			return Read(NoLockdown, securityModules)
		}
		return NotKnown[Lockdown](lockdownFile, fmt.Errorf("/sys/kernel/security: %w", errNotMounted))
	}
	if err != nil {
		return NotKnown[Lockdown](lockdownFile, err)
	}
	_, rest, _ := strings.Cut(string(b), "[")
	word, _, _ := strings.Cut(rest, "]")
	switch mode := Lockdown(word); mode {
	case NoLockdown, LockdownIntegrity, LockdownConfidentiality:
		return Read(mode, lockdownFile)
	}
	return NotKnown[Lockdown](lockdownFile, fmt.Errorf("%s: %w: %q, expected one of none, integrity and confidentiality in brackets", lockdownFile, ErrMalformed, b))
}
