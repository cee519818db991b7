package installer

import (
	"context"
	"fmt"
	"strings"

	"github.com/ampconnector/amp/internal/fault"
)

// Definitions is what steps ask of the store of the scan engine's definitions. Each of its changes is one rename: whoever is killed while
// one is made leaves the set before or the set after.
type Definitions interface {
	// Current is the version of the set in use, "" where there is none but the built-in one.
	Current(ctx context.Context) (string, error)
	// Verify checks each file of the set in use and changes nothing. The error is why that could not be done.
	Verify(ctx context.Context) ([]BadDefinition, error)
	// Restore sets aside what Verify finds, with the reason, and puts the last set that worked in the place of the damaged one.
	Restore(ctx context.Context) error
	// Rollback puts the set before in the place of the one in use, whose content is never taken again.
	Rollback(ctx context.Context) error
}

// BadDefinition is a definition file that fails its checks.
type BadDefinition struct{ File, Why string }

func (b BadDefinition) String() string { return b.File + ": " + b.Why }

// store is the one of a host.
func (h *Host) store() (Definitions, error) {
	if h.Definitions == nil {
		return nil, errNoStore
	}
	return h.Definitions, nil
}

var errNoStore = fault.Errorf(fault.Text{
	EN: "this program does not know the store of the definitions",
	JA: "このプログラムは定義の保存場所を処理できません",
})

func init() {
	register(func() Step { return new(RestoreDefinitions) })
	register(func() Step { return new(DropDefinitions) })
}

// RestoreDefinitions checks every definition file, sets aside those that fail, and brings the last good set back.
type RestoreDefinitions struct {
	Bad []string // of when the step was prepared: file and reason

	// Left is why nothing was checked, in words for a person; zero if it was.
	Left fault.Text `json:"-"`
}

// Kind implements Step.
func (*RestoreDefinitions) Kind() string { return "restore-definitions" }

// Title implements Step.
func (s *RestoreDefinitions) Title() fault.Text {
	if len(s.Bad) > 0 {
		return fault.Text{EN: "set aside %s and bring back the last definitions that worked", JA: "%s の退避と、最後に正常だった定義の復元"}.With(strings.Join(s.Bad, ", "))
	}
	return fault.Text{EN: "check every definition file, set aside those that fail and bring back the last that worked", JA: "すべての定義ファイルの検査、不正なファイルの退避と、最後に正常だった定義の復元"}
}

// Commands implements Step.
func (*RestoreDefinitions) Commands() []string {
	return []string{"ampcli definitions verify", "ampcli definitions rollback"}
}

// Remark is what was left undone.
func (s *RestoreDefinitions) Remark() fault.Text { return s.Left }

// Needed implements Step. It takes as long as the checks do.
func (s *RestoreDefinitions) Needed(ctx context.Context, h *Host) (bool, error) {
	return len(s.check(ctx, h)) > 0, nil
}

// check fills in Bad. What could not be checked is no reason to stop a plan whose other steps may help: it is left, and said.
func (s *RestoreDefinitions) check(ctx context.Context, h *Host) []string {
	s.Bad, s.Left = nil, fault.Text{}
	store, err := h.store()
	var bad []BadDefinition
	if err == nil {
		bad, err = store.Verify(ctx)
	}
	if err != nil {
		s.Left = fault.Text{EN: "the definitions were not checked: %s", JA: "定義を検査できませんでした: %s"}.With(ErrorText(err))
		return nil
	}
	for _, b := range bad {
		s.Bad = append(s.Bad, b.String())
	}
	return s.Bad
}

// Prepare implements Step.
func (s *RestoreDefinitions) Prepare(ctx context.Context, h *Host) error {
	s.check(ctx, h)
	return nil
}

// Apply implements Step.
func (s *RestoreDefinitions) Apply(ctx context.Context, h *Host) error {
	store, err := h.store()
	if err != nil {
		return err
	}
	killpoint("definitions.restore")
	if err := store.Restore(ctx); err != nil {
		return err
	}
	bad, err := store.Verify(ctx)
	if err == nil && len(bad) > 0 {
		err = fmt.Errorf("still in use: %s", bad[0])
	}
	return err
}

// Undo implements Step. A file that fails its checks is kept aside, and nothing gets better by its coming back.
func (*RestoreDefinitions) Undo(context.Context, *Host) error { return nil }

// DropDefinitions puts the set before in the place of the one of a version.
type DropDefinitions struct {
	Version string // that is dropped; where another one is in use, nothing is done. "" is the one in use when the step is prepared
}

// Kind implements Step.
func (*DropDefinitions) Kind() string { return "drop-definitions" }

// Title implements Step.
func (s *DropDefinitions) Title() fault.Text {
	if s.Version == "" {
		return fault.Text{EN: "drop the newest definitions and go back to the set before", JA: "最新の定義の取り下げと、以前の定義への復帰"}
	}
	return fault.Text{EN: "drop the definitions %s and go back to the set before", JA: "定義 %s の取り下げと、以前の定義への復帰"}.With(s.Version)
}

// Commands implements Step.
func (*DropDefinitions) Commands() []string { return []string{"ampcli definitions rollback"} }

// Needed implements Step.
func (s *DropDefinitions) Needed(ctx context.Context, h *Host) (bool, error) {
	store, err := h.store()
	if err != nil {
		return false, err
	}
	current, err := store.Current(ctx)
	return err == nil && current != "" && (s.Version == "" || current == s.Version), err
}

// Prepare implements Step.
func (s *DropDefinitions) Prepare(ctx context.Context, h *Host) error {
	if s.Version != "" {
		return nil
	}
	store, err := h.store()
	if err == nil {
		s.Version, err = store.Current(ctx)
	}
	return err
}

// Apply implements Step.
func (s *DropDefinitions) Apply(ctx context.Context, h *Host) error {
	needed, err := s.Needed(ctx, h)
	if err != nil || !needed { // it was killed behind the change
		return err
	}
	store, err := h.store()
	if err != nil {
		return err
	}
	killpoint("definitions.drop")
	return store.Rollback(ctx)
}

// Undo implements Step. The change is one rename: it was made, and stays as asked for, or it was not.
func (*DropDefinitions) Undo(context.Context, *Host) error { return nil }
