package connector

import (
	"context"
	"errors"
	"fmt"

	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan/queue"
	"github.com/ampconnector/amp/internal/scan/schedule"
	"github.com/ampconnector/amp/internal/scan/supervise"
)

// schedulesOf are those in force: none while the policy asks for no scanning.
func schedulesOf(s ScanSettings) []policy.Schedule {
	if !s.Enabled {
		return nil
	}
	return s.Schedules
}

// scanScheduled scans what a schedule names, as a scan on demand: behind all that events bring. What it finds is told as all else.
func (s *scanner) scanScheduled(ctx context.Context, c policy.Schedule) (schedule.Result, error) {
	n := s.session.Load()
	if n == nil {
		return schedule.Result{}, schedule.ErrInterrupted
	}
	sum, err := n.queue.ScanPath(ctx, queue.ScanOptions{Paths: c.Paths, CrossFileSystems: c.CrossFileSystems}, nil)
	if errors.Is(err, supervise.ErrStopped) || errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", schedule.ErrInterrupted, err)
	}
	return schedule.Result{Files: sum.Files, Found: sum.Infected, Failures: sum.Failed + sum.SetAside + sum.Unreadable}, err
}
