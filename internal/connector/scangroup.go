package connector

import (
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/scan/cgroup"
	"github.com/ampconnector/amp/internal/scan/sandbox"
)

// newGroup makes a control group for a service. Where it cannot be made the service goes without one, since it has limits of its own.
func (s *scanner) newGroup(o sandbox.Options) *cgroup.Group {
	group, err := s.places.groups.New(o.MemoryMax())
	if err == nil {
		s.groupErr.Store(nil)
		return group
	}
	why := err.Error()
	if before := s.groupErr.Swap(&why); before == nil || *before != why {
		s.log.Error("the scan service gets no control group", "error", err)
	}
	return nil
}

// groupState is nil where nothing is known of control groups, as in tests.
func (s *scanner) groupState() *control.Cgroup {
	tree, settings := s.places.groups, s.settings.Load()
	switch {
	case tree == nil && s.places.groupErr == nil, settings == nil:
		return nil
	case tree == nil:
		return &control.Cgroup{Error: s.places.groupErr.Error()}
	}
	if why := s.groupErr.Load(); why != nil {
		return &control.Cgroup{Error: *why}
	}
	return &control.Cgroup{Path: tree.Path(), MemoryLimit: s.places.options(*settings).MemoryMax()}
}
