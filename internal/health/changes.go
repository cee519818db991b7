package health

import (
	"errors"
	"io/fs"

	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
)

// maxEventLog bounds how much of the event log is read back, in bytes.
const maxEventLog = 64 << 20

// changes looks in the logs for who changed mode or owner of the directories that are not as they should be. On a host where all are, and in
// the daemon, which judges again and again, nothing is read.
func changes(r host.Root, f *Facts) map[string]host.Reading[*host.Change] {
	wrong := map[string]*host.DirectoryState{}
	var paths []string
	for _, d := range f.Host.Directories {
		s := d.State.Value
		if d.State.Err != nil || d.WantUID.Err != nil || s == nil || !s.IsDir || s.Symlink {
			continue
		}
		if _, deviates := deviation(d.Want, d.WantUID.Value, s, f.Host.Account.User); deviates {
			wrong[d.Want.Path] = s
			paths = append(paths, d.Want.Path)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	events, eventsErr := newestEvents(r, wrong)
	audit := host.AuditChanges(r, paths)
	found := map[string]host.Reading[*host.Change]{}
	for path, s := range wrong {
		found[path] = newestChange(r, path, s, events, eventsErr, audit)
	}
	return found
}

// newestChange is the event that left the directory as it is; else, where that was seen by nobody, what the audit log has after it.
func newestChange(r host.Root, path string, s *host.DirectoryState, events map[string]monitor.Event, eventsErr error, audit host.Reading[map[string]host.Change]) host.Reading[*host.Change] {
	const both = monitor.LogPath + ", " + host.AuditLogPath
	e, seen := events[path]
	c, audited := audit.Value[path]
	switch {
	case seen && leaves(e, s):
		return named(r, host.Change{When: e.Time, PID: e.Process.PID, UID: e.Process.UID, Login: e.Process.AUID, Exe: e.Process.Exe.Path, Comm: e.Process.Comm}, monitor.LogPath)
	case audited && (!seen || !c.When.Before(e.Time)):
		return named(r, c, host.AuditLogPath)
	case eventsErr != nil && !errors.Is(eventsErr, fs.ErrNotExist):
		return host.NotKnown[*host.Change](monitor.LogPath, eventsErr)
	case audit.Err != nil && !errors.Is(audit.Err, fs.ErrNotExist):
		return host.NotKnown[*host.Change](audit.From, audit.Err)
	}
	return host.Read[*host.Change](nil, both)
}

// leaves reports whether a change made the directory what it is now. Where the source saw the call alone, only what that sets is known.
func leaves(e monitor.Event, s *host.DirectoryState) bool {
	const untold = 1<<32 - 1
	mode, owner, group := e.Mode&0o777 == uint32(s.Mode.Perm()), e.Owner == s.UID, e.Group == s.GID
	if e.File.Joined {
		mode = mode || e.Mode == 0 || e.Mode == untold
		owner, group = owner || e.Owner == untold, group || e.Group == untold
	}
	return mode && owner && group
}

func named(r host.Root, c host.Change, from string) host.Reading[*host.Change] {
	c.User = host.UserName(r, c.UID)
	if c.Login != host.UnsetLogin {
		c.LoginUser = host.UserName(r, c.Login)
	}
	return host.Read(&c, from)
}

// newestEvents reads the newest event of each path in the connector's own log and in the one that was rotated away.
func newestEvents(r host.Root, wanted map[string]*host.DirectoryState) (map[string]monitor.Event, error) {
	found := map[string]monitor.Event{}
	left := int64(maxEventLog)
	for _, name := range []string{monitor.LogPath, monitor.LogPath + ".1"} {
		read, err := r.Backwards(name, left, func(line []byte) bool {
			if !monitor.TellsOf(line, monitor.FileAttributes) {
				return true
			}
			e, err := monitor.ParseLine(line)
			if _, newer := found[e.File.Path]; err == nil && !newer && wanted[e.File.Path] != nil {
				found[e.File.Path] = e.Event
			}
			return len(found) < len(wanted)
		})
		if errors.Is(err, fs.ErrNotExist) && name != monitor.LogPath {
			break
		}
		if left -= read; err != nil || left <= 0 || len(found) == len(wanted) {
			return found, err
		}
	}
	return found, nil
}
