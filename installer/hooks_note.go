package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// noteFile tells the scripts that end an upgrade what those that began it saw. It is gone after a reboot, as it should be.
const noteFile = "/run/cisco-amp/upgrade"

// noted is whether the service ran when an upgrade began.
type noted string

const (
	ran     noted = "ran"
	ranNot  noted = "ran-not"
	fresh   noted = "fresh" // there was no upgrade: the service was set up in the same transaction
	unknown noted = ""      // there is no note
)

// ourFacts are facts enough for steps on our own service.
func ourFacts() *health.Facts {
	return &health.Facts{Connector: host.Connectors[0], Found: true}
}

// writeNote notes whether our service runs.
func writeNote(ctx context.Context, h *Host) error {
	active, err := serviceActive(ctx, h)
	if err != nil {
		return err
	}
	if active {
		return putNote(h, ran)
	}
	return putNote(h, ranNot)
}

// serviceActive reports whether our service runs.
func serviceActive(ctx context.Context, h *Host) (bool, error) {
	st, err := serviceItems(ourFacts(), stop, Occasion{})[0].Step.(*Service).state(ctx, h)
	return st.active, err
}

func putNote(h *Host, n noted) error {
	path, err := h.Root.Path(noteFile)
	if err != nil {
		return err
	}
	if err := durable.MakeFolder(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(n+"\n"), 0o644)
}

// takeNote reads the note and removes it.
func takeNote(h *Host) (noted, error) {
	b, err := h.Root.ReadFile(noteFile, 64)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unknown, nil
	case err != nil:
		return unknown, err
	}
	path, err := h.Root.Path(noteFile)
	if err != nil {
		return unknown, err
	}
	if err := os.Remove(path); err != nil {
		return unknown, err
	}
	for _, n := range []noted{ran, ranNot, fresh} {
		if string(b) == string(n)+"\n" {
			return n, nil
		}
	}
	return unknown, fmt.Errorf("%s: read %q, expected %q, %q or %q", noteFile, b, ran, ranNot, fresh)
}
