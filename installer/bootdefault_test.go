package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/host"
)

// setDefault stands in for grub-set-default of GRUB 2.06, which a build machine need not have: it keeps the entry in the same file, in the
// same form, but for the padding. The guests have the real one.
const setDefault = `#!/bin/sh
boot=${1#--boot-directory=}
printf '# GRUB Environment Block\nsaved_entry=%s\n' "$2" >"$boot/grub/grubenv"
`

// editEnvironment stands in for grub-editenv.
const editEnvironment = `#!/bin/sh
test "$2 $3" = "unset saved_entry" && printf '# GRUB Environment Block\n' >"$1"
`

const (
	oldRelease = "6.1.0-48-amd64"
	newRelease = "6.1.0-49-amd64"
	newEntry   = "gnulinux-advanced-U>gnulinux-6.1.0-49-amd64-advanced-U"
)

// newBooted makes a root with GRUB and two kernels.
func newBooted(t *testing.T) scratch {
	t.Helper()
	s := scratch{t.TempDir()}
	config := "set default=\"${saved_entry}\"\nsubmenu 'x' $menuentry_id_option 'gnulinux-advanced-U' {\n"
	for _, release := range []string{newRelease, oldRelease} {
		config += "\tmenuentry 'y' $menuentry_id_option 'gnulinux-" + release + "-advanced-U' {\n\t}\n"
	}
	s.write(t, "/boot/grub/grub.cfg", config+"}\n", 0o600)
	s.write(t, "/usr/sbin/grub-set-default", setDefault, 0o755)
	s.write(t, "/usr/bin/grub-editenv", editEnvironment, 0o755)
	return s
}

func bootPlan(_ context.Context, h *Host) Plan {
	return Plan{Name: "fault-16", Items: []Item{BootDefaultItem(host.BootLoaderOf(h.Root), newRelease)}}
}

func init() { sweepPlans["boot-default"] = bootPlan }

func TestBootDefaultSweep(t *testing.T) {
	saved := func(want ...string) func(string) error {
		return func(root string) error {
			entry, err := host.GrubSaved(host.At(root), "/boot/grub/grubenv")
			if err == nil && !slices.Contains(want, entry) {
				err = fmt.Errorf("saved is %q, expected one of %q", entry, want)
			}
			return err
		}
	}
	sweep{
		plan:      "boot-default",
		root:      func(t *testing.T) string { return newBooted(t).dir },
		recovered: saved("", newEntry),
		planned:   saved(newEntry),
		twice:     true,
	}.run(t)
}

func TestBootDefaultUndo(t *testing.T) {
	for _, former := range []string{"", "gnulinux-advanced-U>gnulinux-6.1.0-48-amd64-advanced-U"} {
		s := newBooted(t)
		h := NewHost(host.At(s.dir), nil)
		if former != "" {
			s.write(t, "/boot/grub/grubenv", "# GRUB Environment Block\nsaved_entry="+former+"\nother=1\n####", 0o600)
		}
		step := bootPlan(t.Context(), h).Items[0].Step
		if err := errors.Join(step.Prepare(t.Context(), h), step.Apply(t.Context(), h), step.Undo(t.Context(), h), step.Undo(t.Context(), h)); err != nil {
			t.Fatal(err)
		}
		if now, err := host.GrubSaved(h.Root, "/boot/grub/grubenv"); now != former || err != nil {
			t.Errorf("%q, %v; expected %q", now, err, former)
		}
	}
}

// A tool that ends well without having done anything has failed.
func TestBootDefaultIsLookedAt(t *testing.T) {
	s := newBooted(t)
	h := NewHost(host.At(s.dir), nil)
	s.write(t, "/usr/sbin/grub-set-default", "#!/bin/sh\n", 0o755)
	results, err := Run(t.Context(), h, bootPlan(t.Context(), h), Options{})
	if err == nil || len(results) != 1 || results[0].Outcome != Failed || !strings.Contains(err.Error(), newEntry) {
		t.Errorf("%v, %+v", err, results)
	}
}

func TestBootDefaultByHand(t *testing.T) {
	s := newBooted(t)
	at := func(release string) Item { return BootDefaultItem(host.BootLoaderOf(host.At(s.dir)), release) }
	if item := at("6.1.0-50-amd64"); item.Step != nil || !strings.Contains(item.Manual.EN, "no entry") {
		t.Errorf("a kernel that the menu has not: %+v", item)
	}
	s.write(t, "/boot/grub/grub.cfg", strings.Replace(s.read(t, "/boot/grub/grub.cfg"), "${saved_entry}", "0", 1), 0o600)
	if item := at(newRelease); item.Step != nil || !slices.Contains(item.Commands, "update-grub") || !slices.Contains(item.Commands, "grub-set-default '"+newEntry+"'") {
		t.Errorf("a configuration that names an entry: %+v", item)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, "boot")); err != nil {
		t.Fatal(err)
	}
	if item := at(newRelease); item.Step != nil || !strings.Contains(item.Manual.EN, "no boot loader") {
		t.Errorf("without a boot loader: %+v", item)
	}
}

// A kernel that a step before this one installs is not in the menu when the plan is made.
func TestBootDefaultAfterTheKernelIsInstalled(t *testing.T) {
	const comes = "6.1.0-50-amd64"
	s := newBooted(t)
	h := NewHost(host.At(s.dir), nil)
	plan := func() Plan {
		return Plan{Name: "fault-16", Items: []Item{BootDefaultAfter(host.BootLoaderOf(h.Root), comes)}}
	}
	if results, err := Run(t.Context(), h, plan(), Options{DryRun: true}); err != nil || results[0].Outcome != Planned {
		t.Errorf("before: %+v, %v", results, err)
	}
	late := plan()
	if results, err := Run(t.Context(), h, late, Options{}); err == nil || results[0].Outcome != Failed || !strings.Contains(err.Error(), "no entry") {
		t.Errorf("it did not come: %+v, %v", results, err)
	}
	config := s.read(t, "/boot/grub/grub.cfg")
	s.write(t, "/boot/grub/grub.cfg", strings.ReplaceAll(config, newRelease, comes), 0o600)
	if results, err := Run(t.Context(), h, late, Options{}); err != nil || results[0].Outcome != Done {
		t.Errorf("it came: %+v, %v", results, err)
	}
	if now, err := host.GrubSaved(h.Root, "/boot/grub/grubenv"); now != strings.ReplaceAll(newEntry, newRelease, comes) || err != nil {
		t.Errorf("saved %q, %v", now, err)
	}
	s.write(t, "/boot/grub/grub.cfg", strings.Replace(config, "${saved_entry}", "0", 1), 0o600)
	if item := plan().Items[0]; item.Step != nil || !slices.Contains(item.Commands, "update-grub") || !slices.Contains(item.Commands, "amp-remediate 16 --boot "+comes) {
		t.Errorf("a configuration that names an entry: %+v", item)
	}
}

// grubby stands in for that of EL9, which complains of what it does not find beside the answer.
const grubby = `#!/bin/sh
case $1 in
--default-kernel) echo 'grep: /boot/grub2/grubenv: No such file or directory' >&2; cat "${0%/usr/sbin/grubby}/default";;
--set-default=*) printf '%s\n' "${1#--set-default=}" >"${0%/usr/sbin/grubby}/default"; echo "The default is $1";;
esac
`

// What grubby complains of is no part of the default's name.
func TestGrubbyIsReadWithoutItsComplaints(t *testing.T) {
	s := scratch{t.TempDir()}
	s.write(t, "/usr/sbin/grubby", grubby, 0o755)
	s.write(t, "/default", "/boot/vmlinuz-"+oldRelease+"\n", 0o644)
	h := NewHost(host.At(s.dir), nil)
	step := bootPlan(t.Context(), h).Items[0].Step.(*BootDefault)
	if err := errors.Join(step.Prepare(t.Context(), h), step.Apply(t.Context(), h)); err != nil {
		t.Fatal(err)
	}
	if want := "/boot/vmlinuz-" + oldRelease; step.Former != want {
		t.Errorf("the default before is %q, expected %q", step.Former, want)
	}
	if err := step.Undo(t.Context(), h); err != nil {
		t.Error(err)
	}
	if got, want := s.read(t, "/default"), "/boot/vmlinuz-"+oldRelease+"\n"; got != want {
		t.Errorf("after the undo it is %q, expected %q", got, want)
	}
}

func TestGrubSaved(t *testing.T) {
	for content, want := range map[string]string{
		"# GRUB Environment Block\n" + strings.Repeat("#", 999):                           "",
		"# GRUB Environment Block\nsaved_entry=a>b c\nx=y\n" + strings.Repeat("#", 900):   "a>b c",
		"# GRUB Environment Block\nprev_saved_entry=x\nsaved_entry=2\n":                   "2",
		"# GRUB Environment Block\n# WARNING: Do not edit this file\nsaved_entry=last\n#": "last",
	} {
		s := scratch{t.TempDir()}
		s.write(t, "/boot/grub/grubenv", content, 0o600)
		if entry, err := host.GrubSaved(host.At(s.dir), "/boot/grub/grubenv"); entry != want || err != nil {
			t.Errorf("%q: %q, %v", content, entry, err)
		}
	}
	s := scratch{t.TempDir()}
	s.write(t, "/boot/grub/grubenv", "saved_entry=x\n", 0o600)
	if _, err := host.GrubSaved(host.At(s.dir), "/boot/grub/grubenv"); !errors.Is(err, host.ErrMalformed) {
		t.Errorf("without its first line: %v", err)
	}
}
