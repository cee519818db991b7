package connector

import (
	"context"
	"errors"
	"log/slog"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/host"
)

// recoverHost undoes the step that a killed installer or remedy left half done, such as a toggled login.defs. It does not wait for a
// program that is changing the host right now: that one has recovered first itself.
func recoverHost(ctx context.Context, log *slog.Logger) error {
	h := installer.NewHost(host.At("/"), log)
	lock, err := installer.Acquire(ctx, h, "ampdaemon", 0)
	if errors.Is(err, installer.ErrLocked) {
		log.Info("another program is changing the host, which is left to it", "holder", err)
		return nil
	}
	if err != nil {
		return err
	}
	undone, err := installer.Recover(ctx, h)
	for _, title := range undone {
		log.Warn("undid a step that was interrupted", "step", title)
	}
	return errors.Join(err, lock.Release())
}
