package connector

import (
	"context"
	"errors"
	"log/slog"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/host"
)

// recoverHost undoes the step that a killed installer or remedy left half done, such as a toggled login.defs. Under systemd the
// unit has done so before, with rights that the daemon does not keep.
func recoverHost(ctx context.Context, log *slog.Logger) error {
	undone, err := installer.RecoverUnheld(ctx, installer.NewHost(host.At("/"), log), "ampdaemon")
	for _, title := range undone {
		log.Warn("undid a step that was interrupted", "step", title.EN)
	}
	if errors.Is(err, installer.ErrLocked) {
		log.Info("another program is changing the host, which is left to it", "holder", err)
		return nil
	}
	return err
}
