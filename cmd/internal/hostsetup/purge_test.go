package hostsetup

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

const (
	loginDefs = "USERGROUPS_ENAB no\n"  // as the host's administrator has it
	toggled   = "USERGROUPS_ENAB yes\n" // while an account tool runs
)

// interruptedToggle is a root on which a run was killed while login.defs was toggled, with the journal of a step of some kind.
func interruptedToggle(t *testing.T, kind string) string {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
	write("etc/group", "root:x:0:\n")
	write("etc/login.defs", toggled)
	write("etc/.login.defs.cisco-amp", loginDefs)
	fi, err := os.Stat(filepath.Join(root, "etc/.login.defs.cisco-amp"))
	if err != nil {
		t.Fatal(err)
	}
	write(installer.JournalPath, fmt.Sprintf(`{"version": 1, "plan": "fault-5", "index": 1, "kind": %q, "title": "create user amp", "phase": "applying",
		"at": "2026-01-02T03:04:05Z", "step": {"Name": "amp", "Group": "amp", "Toggle": {"Inode": %d, "SHA256": "%x", "Copy": "%x"}}}`,
		kind, fi.Sys().(*syscall.Stat_t).Ino, sha256.Sum256([]byte(loginDefs)), sha256.Sum256([]byte(toggled))))
	return root
}

// A purge deletes the journal, so that what it tells of has to be taken back before; and it deletes nothing where that cannot be done.
func TestPurgeAfterAnInterruption(t *testing.T) {
	for _, c := range []struct {
		kind, says, loginDefs string
		purged                bool
	}{
		{"user", "taken back: create user amp\nremoved: /var/lib/cisco/amp", loginDefs, true},
		{"of-a-newer-version", "Nothing was removed.", toggled, false},
	} {
		root := interruptedToggle(t, c.kind)
		var out strings.Builder
		err := carryOut(t.Context(), installer.NewHost(host.At(root), nil), health.Gather(t.Context(), health.Options{Root: root}), &out, fault.English)
		if !strings.HasPrefix(out.String(), c.says) || (err == nil) != c.purged || err != nil && !errors.Is(err, errWork) {
			t.Errorf("%s: %q, %v; want %q", c.kind, out.String(), err, c.says)
		}
		if b, err := os.ReadFile(filepath.Join(root, "etc/login.defs")); string(b) != c.loginDefs || err != nil {
			t.Errorf("%s: login.defs has %q, %v; want %q", c.kind, b, err, c.loginDefs)
		}
		for _, name := range []string{"etc/.login.defs.cisco-amp", installer.JournalPath} {
			if _, err := os.Lstat(filepath.Join(root, name)); errors.Is(err, os.ErrNotExist) != c.purged {
				t.Errorf("%s: %s: %v", c.kind, name, err)
			}
		}
	}
}
