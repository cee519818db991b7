package remediate

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

const (
	unfitRelease = "6.1.0-48-amd64"
	fitRelease   = "6.1.0-49-amd64"
)

// bootFiles is a host that runs a kernel without BTF and has one with it; the boot loader's tool is a stand-in that keeps the entry where GRUB does.
var bootFiles = map[string]string{
	"/usr/lib/modules/" + unfitRelease + "/kernel/x": "",
	"/usr/lib/modules/" + fitRelease + "/kernel/x":   "",
	"/boot/config-" + unfitRelease:                   "# CONFIG_DEBUG_INFO_BTF is not set\n",
	"/boot/config-" + fitRelease:                     "CONFIG_DEBUG_INFO_BTF=y\n",
	"/boot/grub/grub.cfg": "set default=\"${saved_entry}\"\n" +
		"menuentry 'x' $menuentry_id_option 'gnulinux-" + fitRelease + "-advanced-U' {\n}\n" +
		"menuentry 'x' $menuentry_id_option 'gnulinux-" + unfitRelease + "-advanced-U' {\n}\n",
	"/usr/sbin/grub-set-default": "#!/bin/sh\nprintf '# GRUB Environment Block\\nsaved_entry=%s\\n' \"$2\" >\"${1#--boot-directory=}/grub/grubenv\"\n",
}

func kernelTool(t *testing.T, out *bytes.Buffer) (*Tool, string) {
	t.Helper()
	root := scratch(t)
	for name, content := range bootFiles {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &Tool{Stdout: out, Stderr: out, Privileged: true, Yes: true, Language: fault.English, hands: hands{
		Target: func(_ host.Root, log *slog.Logger) *installer.Host { return installer.NewHost(host.At(root), log) },
		Gather: func(ctx context.Context, _ health.Options) *health.Facts {
			f := health.Gather(ctx, health.Options{Root: root, Kernel: unfitRelease})
			f.Host.Live = true
			f.BPF.KernelBTF = host.Read(false, "/sys/kernel/btf/vmlinux")
			f.BPF.Load = host.NotKnown[bool]("bpf(2)", syscall.EINVAL)
			return f
		},
		Evaluate: func(context.Context) error { return control.ErrNotRunning },
		Log:      noLog,
	}}, root
}

func TestAnotherKernelIsNamed(t *testing.T) {
	var out bytes.Buffer
	tool, _ := kernelTool(t, &out)
	code := tool.Remedy(t.Context(), Selection{IDs: []fault.ID{16}})
	for _, want := range []string{"offers BTF: " + fitRelease + ".", "amp-remediate 16 --boot " + fitRelease, "systemctl reboot"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if code != ExitPerson {
		t.Errorf("exit code %d", code)
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// The kernel that was named boots next, by a person's reboot; a second run finds that it is so already.
func TestAnotherKernelIsMadeTheDefault(t *testing.T) {
	var out bytes.Buffer
	tool, root := kernelTool(t, &out)
	tool.Boot = fitRelease
	for _, want := range []string{": done (", ": already so ("} {
		out.Reset()
		if code := tool.Remedy(t.Context(), Selection{IDs: []fault.ID{16}}); code != ExitPerson {
			t.Errorf("exit code %d", code)
		}
		for _, want := range []string{want, "To go back to " + unfitRelease, "grub-set-default gnulinux-" + unfitRelease + "-advanced-U"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is missing in\n%s", want, out.String())
			}
		}
	}
	if entry, err := host.GrubSaved(host.At(root), "/boot/grub/grubenv"); entry != "gnulinux-"+fitRelease+"-advanced-U" || err != nil {
		t.Errorf("saved: %q, %v", entry, err)
	}
}

// A kernel that is not installed and that the repositories have is installed before it is made the default; how GRUB calls it is known afterwards.
func TestAnotherKernelIsInstalled(t *testing.T) {
	const comes = "6.1.0-50-amd64"
	for _, c := range []struct {
		name     string
		versions host.Reading[[]string]
		code     int
		says     []string
	}{
		{"there", host.Read([]string{"6.1.200-1"}, "apt-cache madison"), ExitPerson, []string{
			"] install linux-image-" + comes + ": done (", "] make the kernel " + comes + " the one that boots: done (", "To go back to " + unfitRelease,
		}},
		{"not there", host.Read([]string(nil), "apt-cache madison"), ExitUsage, []string{"the host's repositories have no package linux-image-" + comes}},
		{"not known", host.NotKnown[[]string]("apt-cache madison", errDisk), ExitUsage, []string{"it is not known whether", errDisk.Error()}},
	} {
		var out bytes.Buffer
		tool, root := kernelTool(t, &out)
		for name, content := range map[string]string{
			"/usr/bin/dpkg-query":        "#!/bin/sh\nfor p; do :; done\n[ -e " + root + "/has-$p ] && echo installed\n",
			"/usr/sbin/grub-set-default": "#!/bin/sh\nprintf '# GRUB Environment Block\\nsaved_entry=%s\\n' \"$1\" >" + root + "/boot/grub/grubenv\n",
			"/usr/bin/env":               "#!/bin/sh\nexec /usr/bin/env PATH=" + root + "/usr/bin:/usr/bin:/bin \"$@\"\n",
			"/usr/bin/apt-get":           "#!/bin/sh\nfor p; do :; done\n: >" + root + "/has-$p\nsed -i s/" + fitRelease + "/" + comes + "/ " + root + "/boot/grub/grub.cfg\nmkdir -p " + root + "/usr/lib/modules/" + comes + "/kernel\n",
		} {
			if err := errors.Join(os.MkdirAll(filepath.Join(root, "usr/bin"), 0o755), os.WriteFile(filepath.Join(root, name), []byte(content), 0o755)); err != nil {
				t.Fatal(err)
			}
		}
		target, gather := tool.hands.Target, tool.hands.Gather
		tool.hands.Target = func(r host.Root, log *slog.Logger) *installer.Host {
			h := target(r, log)
			h.Live = true
			return h
		}
		tool.hands.Gather = func(ctx context.Context, o health.Options) *health.Facts {
			f := gather(ctx, o)
			f.Host.Distribution = host.Read(host.Distribution{ID: "debian", VersionID: "12", Family: host.Debian}, "/etc/os-release")
			f.Host.PackageManager = host.Read(host.PackageManager{Name: "apt"}, "/usr/bin/apt-get")
			return f
		}
		tool.hands.Versions = func(context.Context, string, string) host.Reading[[]string] { return c.versions }
		tool.Boot = comes
		if code := tool.Remedy(t.Context(), Selection{IDs: []fault.ID{16}}); code != c.code {
			t.Errorf("%s: exit code %d, expected %d", c.name, code, c.code)
		}
		for _, want := range c.says {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is missing in\n%s", c.name, want, out.String())
			}
		}
		want := ""
		if c.code == ExitPerson {
			want = "gnulinux-" + comes + "-advanced-U"
		}
		if entry, err := host.GrubSaved(host.At(root), "/boot/grub/grubenv"); entry != want || err != nil {
			t.Errorf("%s: saved %q, %v; expected %q", c.name, entry, err, want)
		}
	}
}

// On a host whose kernel is all that is needed nobody looks for others: one that is installed is not called missing, and one that is missing is with the folder.
func TestKernelIsChosenWhereNoneIsNeeded(t *testing.T) {
	for release, c := range map[string]struct {
		code int
		says string
	}{
		fitRelease:       {ExitGone, "Fault 16 is not there"},
		"6.1.0-50-amd64": {ExitUsage, "--boot 6.1.0-50-amd64: /usr/lib/modules has no such kernel"},
	} {
		var out bytes.Buffer
		tool, _ := kernelTool(t, &out)
		gather := tool.hands.Gather
		tool.hands.Gather = func(ctx context.Context, o health.Options) *health.Facts {
			f := gather(ctx, o)
			f.BPF.KernelBTF, f.BPF.Load = host.Read(true, "/sys/kernel/btf/vmlinux"), host.Read(true, "bpf(2)")
			f.Kernels = host.Reading[[]host.Kernel]{}
			return f
		}
		tool.Boot = release
		if code := tool.Remedy(t.Context(), Selection{IDs: []fault.ID{16}}); code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: exit code %d, %s; expected %d, %q", release, code, out.String(), c.code, c.says)
		}
	}
}

func TestKernelThatCannotBeChosen(t *testing.T) {
	for release, c := range map[string]struct {
		ids  []fault.ID
		says string
	}{
		"6.1.0-50-amd64": {[]fault.ID{16}, "has no such kernel"},
		"../49":          {[]fault.ID{11}, "letters, digits"},
		fitRelease:       {[]fault.ID{11, 16}, "stands with fault 11 or 16 alone"},
		unfitRelease:     {[]fault.ID{5}, "stands with fault 11 or 16 alone"},
	} {
		var out bytes.Buffer
		tool, root := kernelTool(t, &out)
		tool.Boot = release
		if code := tool.Remedy(t.Context(), Selection{IDs: c.ids}); code != ExitUsage || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: exit code %d, %s", release, code, out.String())
		}
		if entry, _ := host.GrubSaved(host.At(root), "/boot/grub/grubenv"); entry != "" {
			t.Errorf("%s: saved %q", release, entry)
		}
	}
}
