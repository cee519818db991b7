package installer

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/policy"
)

func init() { register(func() Step { return new(Exclude) }) }

// Exclude adds exclusions to those of this host, or takes them out. Others that are there stay; a file that cannot be parsed is left alone,
// and the step fails with the line that is wrong. The daemon watches the file.
type Exclude struct {
	Exclusions []policy.Exclusion
	Remove     bool

	// Of when the step was prepared: those of Exclusions that differed from what was there, and what was there in their place.
	Changed, Replaced []policy.Exclusion
}

func (*Exclude) Kind() string { return "exclude" }

func (s *Exclude) Title() fault.Text {
	what := make([]string, len(s.Exclusions))
	for i, x := range s.Exclusions {
		what[i] = x.String()
	}
	title := fault.Text{EN: "exclude from monitoring: %s", JA: "監視からの除外: %s"}
	if s.Remove {
		title = fault.Text{EN: "monitor again: %s", JA: "監視の再開: %s"}
	}
	return title.With(strings.Join(what, ", "))
}

// Commands is ampcli, which runs this same step.
func (s *Exclude) Commands() []string {
	verb := "add"
	if s.Remove {
		verb = "remove"
	}
	commands := make([]string, len(s.Exclusions))
	for i, x := range s.Exclusions {
		commands[i] = "ampcli exclusions " + verb + " " + string(x.Class) + " " + ShellWord(x.Value)
		if x.Children {
			commands[i] += " --children"
		}
	}
	return commands
}

func (s *Exclude) Needed(_ context.Context, h *Host) (bool, error) {
	now, err := exclusionsOf(h)
	differing, _ := s.differing(now)
	return err == nil && len(differing) > 0, err
}

// differing are those that Apply would change, and what is in their place.
func (s *Exclude) differing(now policy.Exclusions) (differing, replaced []policy.Exclusion) {
	all := now.All()
	for _, x := range s.Exclusions {
		i := slices.IndexFunc(all, func(o policy.Exclusion) bool { return o.Class == x.Class && o.Value == x.Value })
		if s.Remove && i < 0 || !s.Remove && i >= 0 && all[i] == x {
			continue
		}
		differing = append(differing, x)
		if i >= 0 {
			replaced = append(replaced, all[i])
		}
	}
	return differing, replaced
}

func (s *Exclude) Prepare(_ context.Context, h *Host) error {
	now, err := exclusionsOf(h)
	s.Changed, s.Replaced = s.differing(now)
	return err
}

func (s *Exclude) Apply(_ context.Context, h *Host) error {
	if s.Remove {
		return change(h, s.Changed, nil)
	}
	return change(h, nil, s.Changed)
}

func (s *Exclude) Undo(_ context.Context, h *Host) error { return change(h, s.Changed, s.Replaced) }

// change takes some exclusions out and puts others in. The rest of the file stays, whoever wrote it since.
func change(h *Host, out, in []policy.Exclusion) error {
	now, err := exclusionsOf(h)
	if err != nil {
		return err
	}
	after := now
	for _, x := range out {
		after = after.Remove(x)
	}
	for _, x := range in {
		if after, err = after.Add(x); err != nil {
			return exclusionError(err)
		}
	}
	if after.Equal(now) {
		return nil
	}
	path, err := h.Root.Path(policy.ExclusionPath)
	if err != nil {
		return err
	}
	killpoint("exclude.write")
	return durable.Write(path, after.Encode(), 0o644, killpoint)
}

// exclusionsOf are those of this host, none where it has no such file.
func exclusionsOf(h *Host) (policy.Exclusions, error) {
	path, err := h.Root.Path(policy.ExclusionPath)
	if err != nil {
		return policy.Exclusions{}, err
	}
	x, err := policy.LoadExclusions(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return x, err
}
