package installer

import (
	"context"
	"fmt"
	"slices"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// Group is the step that makes a system group.
type Group struct {
	Name string
	GID  uint32 // that it is to have, since a user of a directory service has it already; 0 is any

	Existed bool // before the step; then Undo leaves it alone
}

func init() { register(func() Step { return &Group{} }) }

// Kind implements Step.
func (s *Group) Kind() string { return "group" }

// Title implements Step.
func (s *Group) Title() fault.Text {
	return fault.Text{EN: "create group %s", JA: "グループ %s の作成"}.With(s.Name)
}

// Commands implements Step.
func (s *Group) Commands() []string { return []string{commandLine("groupadd", s.arguments(nil))} }

func (s *Group) arguments(id []string) []string {
	if s.GID != 0 {
		id = []string{"-g", decimal(s.GID)}
	}
	return append(append([]string{"-r"}, id...), s.Name)
}

// Needed implements Step. A group of a directory service is one, too.
func (s *Group) Needed(ctx context.Context, h *Host) (bool, error) {
	g := host.AccountOf(ctx, h.Root, s.Name).Group
	return g.Value == nil, g.Err
}

// Prepare implements Step.
func (s *Group) Prepare(ctx context.Context, h *Host) error {
	needed, err := s.Needed(ctx, h)
	s.Existed = !needed
	return err
}

// Apply implements Step.
func (s *Group) Apply(ctx context.Context, h *Host) error {
	if needed, err := s.Needed(ctx, h); err != nil || !needed {
		return err
	}
	var id []string
	var err error
	if s.GID == 0 {
		if id, err = systemID(ctx, h, host.GIDs, "-g"); err != nil {
			return err
		}
	}
	if err := h.accountTool(ctx, "groupadd", s.arguments(id)...); err != nil {
		return err
	}
	if needed, err := s.Needed(ctx, h); err != nil || needed {
		return orElse(err, fmt.Errorf("groupadd -r %s ended well, and yet %s has no group %s", s.Name, host.GroupPath, s.Name))
	}
	if g, err := fileGroup(h, s.Name); s.GID == 0 && err == nil && g != nil {
		return ofPeople(h, host.GIDs, s.Name, g.GID)
	}
	return nil
}

// Undo implements Step.
func (s *Group) Undo(ctx context.Context, h *Host) error {
	if s.Existed {
		return nil
	}
	return deleteGroup(ctx, h, s.Name)
}

// deleteGroup deletes a group of the files, if it is there.
func deleteGroup(ctx context.Context, h *Host, name string) error {
	if err := groupFiles.mend(ctx, h, name); err != nil {
		return err
	}
	g, err := fileGroup(h, name)
	if err != nil || g == nil {
		return err
	}
	return h.accountTool(ctx, "groupdel", name)
}

// fileGroup is the group as /etc/group has it, nil if it has none.
func fileGroup(h *Host, name string) (*host.Group, error) {
	b, err := h.Root.ReadFile(host.GroupPath, maxAccountFile)
	if err != nil {
		return nil, err
	}
	rs, err := host.ParseGroup(host.GroupPath, b)
	i := slices.IndexFunc(rs.List, func(g host.Group) bool { return g.Name == name })
	if err != nil || i < 0 {
		return nil, err
	}
	return &rs.List[i], nil
}

// fileUser is the user as /etc/passwd has it, nil if it has none.
func fileUser(h *Host, name string) (*host.Account, error) {
	b, err := h.Root.ReadFile(host.PasswdPath, maxAccountFile)
	if err != nil {
		return nil, err
	}
	rs, err := host.ParsePasswd(host.PasswdPath, b)
	i := slices.IndexFunc(rs.List, func(u host.Account) bool { return u.Name == name })
	if err != nil || i < 0 {
		return nil, err
	}
	return &rs.List[i], nil
}

func orElse(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
