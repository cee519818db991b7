package installer

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// BootDefault is the step that makes a kernel the boot loader's default, by the loader's own tool. It reboots nothing.
type BootDefault struct {
	Loader  host.BootLoaderKind
	Tool    string // name of the program that sets the default
	Config  string // GRUB: grub.cfg, beside which its environment lies
	Release string
	Entry   string // what the tool is to be told; "" before Prepare where a step before this one brings the kernel

	Former string // the default before, for Undo; "" where none was set
}

// BootDefaultItem is the item that makes a kernel the default; a manual one where no program can: the loader is not known, its menu has no
// such kernel, or GRUB's configuration names an entry by itself.
func BootDefaultItem(r host.Reading[host.BootLoader], release string) Item {
	l := r.Value
	entry, ok := l.Entry(release)
	switch {
	case !r.Known():
		return Item{Manual: bootByHand.With(release, r.Err)}
	case !ok:
		return Item{Manual: bootNoEntry.With(release, r.From)}
	}
	step := &BootDefault{Loader: l.Kind, Tool: path.Base(l.Tool), Config: l.Config, Release: release, Entry: entry}
	if l.Kind == host.GRUB && !l.Saved {
		return Item{Manual: bootNotSaved.With(l.Config, release), Commands: append(grubRenewal(l), step.Commands()...)}
	}
	return Item{Step: step}
}

// BootDefaultAfter is BootDefaultItem for a kernel that a step before it installs: how the loader calls it is looked for when it is there.
func BootDefaultAfter(r host.Reading[host.BootLoader], release string) Item {
	l := r.Value
	if _, ok := l.Entry(release); ok || !r.Known() {
		return BootDefaultItem(r, release)
	}
	step := &BootDefault{Loader: l.Kind, Tool: path.Base(l.Tool), Config: l.Config, Release: release}
	if l.Kind == host.GRUB && !l.Saved {
		return Item{Manual: bootNotSaved.With(l.Config, release), Commands: append(grubRenewal(l), step.Commands()...)}
	}
	return Item{Step: step}
}

// grubRenewal makes GRUB boot its saved entry from now on.
func grubRenewal(l host.BootLoader) []string {
	renew := "update-grub"
	if strings.HasPrefix(path.Base(l.Tool), "grub2-") {
		renew = "grub2-mkconfig -o " + l.Config
	}
	return []string{`sed -i 's/^GRUB_DEFAULT=.*/GRUB_DEFAULT=saved/' /etc/default/grub`, renew}
}

// What only a person can do about the boot loader.
var (
	bootByHand = fault.Text{
		EN: "Make the kernel %s the one that boots: %v.",
		JA: "カーネル %s が起動するように設定してください: %v",
	}
	bootNoEntry = fault.Text{
		EN: "Make the kernel %s the one that boots; %s has no entry for it that can be told apart.",
		JA: "カーネル %s が起動するように設定してください。%s に該当する項目が見つかりません。",
	}
	bootNotSaved = fault.Text{
		EN: "%s names an entry of its own, so that a saved one counts for nothing. Let GRUB boot the saved entry, then save that of the kernel %s.",
		JA: "%s は既定の項目を固定しているため、保存された項目は使われません。GRUB が保存された項目で起動するように設定し、カーネル %s の項目を保存してください。",
	}
)

func init() { register(func() Step { return new(BootDefault) }) }

// Kind implements Step.
func (*BootDefault) Kind() string { return "boot-default" }

// Title implements Step.
func (s *BootDefault) Title() fault.Text {
	return fault.Text{EN: "make the kernel %s the one that boots", JA: "起動するカーネルを %s に設定"}.With(s.Release)
}

// Commands implements Step.
func (s *BootDefault) Commands() []string {
	if s.Entry == "" {
		return []string{"amp-remediate 16 --boot " + ShellWord(s.Release)}
	}
	return []string{commandLine(s.Tool, s.set(s.Entry))}
}

// set are the tool's arguments that make an entry the default.
func (s *BootDefault) set(entry string) []string {
	switch s.Loader {
	case host.Grubby:
		return []string{"--set-default=" + entry}
	case host.SystemdBoot:
		return []string{"set-default", entry}
	}
	return []string{entry}
}

// Needed implements Step.
func (s *BootDefault) Needed(ctx context.Context, h *Host) (bool, error) {
	now, err := s.current(ctx, h)
	return s.Entry == "" || now != s.Entry, err
}

// Prepare implements Step.
func (s *BootDefault) Prepare(ctx context.Context, h *Host) (err error) {
	if s.Entry == "" {
		loader := host.BootLoaderOf(h.Root)
		entry, ok := loader.Value.Entry(s.Release)
		if !loader.Known() || !ok {
			return orElse(loader.Err, fault.Errorf(bootNoEntry, s.Release, loader.From))
		}
		s.Entry = entry
	}
	s.Former, err = s.current(ctx, h)
	return err
}

// current is the default as it is, "" where none is set.
func (s *BootDefault) current(ctx context.Context, h *Host) (string, error) {
	switch s.Loader {
	case host.Grubby:
		b, err := h.Ask(ctx, s.Tool, "--default-kernel")
		return strings.TrimSpace(string(b)), err
	case host.SystemdBoot:
		return host.EFIDefaultEntry(h.Root)
	}
	return host.GrubSaved(h.Root, s.environment())
}

// environment is the file in which GRUB keeps its saved entry, beside its configuration.
func (s *BootDefault) environment() string { return filepath.Join(filepath.Dir(s.Config), "grubenv") }

// Apply implements Step. That the tool took an entry is looked at: grubby, for one, ends well for a kernel that it does not know.
func (s *BootDefault) Apply(ctx context.Context, h *Host) error {
	if err := s.tell(ctx, h, s.Entry); err != nil {
		return err
	}
	killpoint("boot-default-set")
	now, err := s.current(ctx, h)
	if err == nil && now != s.Entry {
		err = fmt.Errorf("%s: the default is %q afterwards, expected %q", s.Tool, now, s.Entry)
	}
	return err
}

// Undo implements Step.
func (s *BootDefault) Undo(ctx context.Context, h *Host) error {
	now, err := s.current(ctx, h)
	if err != nil || now == s.Former {
		return err
	}
	if s.Former != "" || s.Loader == host.SystemdBoot { // which takes "" for none
		return s.tell(ctx, h, s.Former)
	}
	if s.Loader == host.Grubby {
		return errors.New("grubby named no default before to go back to")
	}
	file, err := h.Root.Path(s.environment())
	if err != nil {
		return err
	}
	_, err = h.Run(ctx, s.editor(), file, "unset", "saved_entry")
	unix.Sync()
	return err
}

// tell makes an entry the default, also below a root that is not this machine's.
func (s *BootDefault) tell(ctx context.Context, h *Host, entry string) error {
	args := s.set(entry)
	if s.Loader == host.GRUB && !h.Live {
		boot, err := h.Root.Path("/boot")
		if err != nil {
			return err
		}
		args = append([]string{"--boot-directory=" + boot}, args...)
	}
	_, err := h.Run(ctx, s.Tool, args...)
	unix.Sync() // the tools do not, and the file may lie on the EFI system partition as well as on that of /boot
	return err
}

// editor is the program that changes GRUB's environment.
func (s *BootDefault) editor() string {
	if strings.HasPrefix(s.Tool, "grub2-") {
		return "grub2-editenv"
	}
	return "grub-editenv"
}
