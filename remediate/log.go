package remediate

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/host"
)

// logPath is where the commands that a remedy runs are logged with their output.
const logPath = "/var/log/cisco/amp-remediate.log"

// logCap is the size, in bytes, from which on the log begins anew. It rotates itself, since the tool comes to hosts whose logrotate does not
// know of it.
const logCap = 4 << 20

// openLog opens the log for appending. Where its directory is missing, or others than root may write to it (which is what fault 5 can
// be about), nothing is logged: a file in it could be a link that somebody else laid.
func openLog(r host.Root) (*slog.Logger, func() error) {
	discard := slog.New(slog.DiscardHandler)
	none := func() error { return nil }
	dir, err := r.Path(filepath.Dir(logPath))
	if err != nil || !rootsOwn(dir) {
		return discard, none
	}
	path := filepath.Join(dir, filepath.Base(logPath))
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() >= logCap {
		if err := os.Rename(path, path+".1"); err != nil {
			return discard, none
		}
	}
	f, err := durable.OpenLog(path, 0o640)
	if err != nil {
		return discard, none
	}
	return slog.New(slog.NewTextHandler(f, nil)), f.Close
}

// rootsOwn reports whether only root may change what is in a directory.
func rootsOwn(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode()&fs.FileMode(0o022) != 0 {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == 0
}
