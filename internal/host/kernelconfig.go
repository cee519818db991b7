package host

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

const (
	optionBTF       = "CONFIG_DEBUG_INFO_BTF"
	optionModuleSig = "CONFIG_MODULE_SIG"
	// OptionModuleHash is the hash that modules are signed with.
	OptionModuleHash = "CONFIG_MODULE_SIG_HASH"

	// maxKernelConfig bounds a build configuration, unpacked; those of distributions have about 270 KiB.
	maxKernelConfig = 4 << 20
)

// configOptions is what Gather reads of a kernel's build configuration.
var configOptions = []string{
	optionBTF, "CONFIG_DEBUG_INFO_BTF_MODULES", "CONFIG_BPF_SYSCALL", "CONFIG_BPF_EVENTS", "CONFIG_KPROBES", "CONFIG_FTRACE_SYSCALLS",
	"CONFIG_SECURITY_SELINUX", "CONFIG_FANOTIFY", "CONFIG_PROC_EVENTS", "CONFIG_MODULES", optionModuleSig, "CONFIG_MODULE_SIG_FORCE", OptionModuleHash,
}

// errNoConfig says that a kernel's build configuration is nowhere on the host.
var errNoConfig = errors.New("the kernel's build configuration is not on this host")

// KernelConfig reads options ("CONFIG_…") of a kernel's build configuration: "y", "m", a number or text, or "n" where the
// option is off or the kernel is older than it. Places: /boot (Debian, Enterprise Linux), the modules' folder (Fedora,
// rpm-ostree), the headers' copy, and of the running kernel /proc/config.gz.
func KernelConfig(r Root, release string, options ...string) Reading[map[string]string] {
	if err := CheckRelease(release); err != nil {
		return NotKnown[map[string]string]("", err)
	}
	for _, name := range configPaths(r, release) {
		b, err := readConfig(r, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return NotKnown[map[string]string](name, err)
		}
		return Read(ParseKernelConfig(b, options...), name)
	}
	return NotKnown[map[string]string]("/boot/config-"+release, errNoConfig)
}

func configPaths(r Root, release string) []string {
	paths := []string{
		"/boot/config-" + release,
		"/usr/lib/modules/" + release + "/config",
		"/lib/modules/" + release + "/config",
	}
	if running := RunningRelease(); r.Live() && running.Err == nil && running.Value == release {
		paths = append(paths, "/proc/config.gz")
	}
	return append(paths, "/lib/modules/"+release+"/build/.config")
}

func readConfig(r Root, name string) ([]byte, error) {
	b, err := r.ReadFile(name, maxKernelConfig)
	if err != nil || !strings.HasSuffix(name, ".gz") {
		return b, err
	}
	zr, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	text, err := io.ReadAll(io.LimitReader(zr, maxKernelConfig+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxKernelConfig {
		return nil, errTooLarge(name, maxKernelConfig)
	}
	return text, nil
}

// ParseKernelConfig finds options in the text of a .config; one that it does not set is "n".
func ParseKernelConfig(b []byte, options ...string) map[string]string {
	found := make(map[string]string, len(options))
	for _, option := range options {
		found[option] = configValue(b, option)
	}
	return found
}

func configValue(b []byte, option string) string {
	key := []byte(option + "=")
	for rest := b; ; {
		i := bytes.Index(rest, key)
		if i < 0 {
			return "n"
		}
		if at := len(b) - len(rest) + i; at > 0 && b[at-1] != '\n' {
			rest = rest[i+len(key):]
			continue
		}
		value, _, _ := bytes.Cut(rest[i+len(key):], []byte("\n"))
		return strings.Trim(string(bytes.TrimSpace(value)), `"`)
	}
}
