package health

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
)

// attributes is a line of the event log: who gave a directory which mode, so many seconds after noon.
func attributes(path string, mode uint32, pid uint32, after time.Duration) string {
	return fmt.Sprintf(`{"time":%d,"class_uid":1001,"activity_id":7,"type_uid":100107,"actor":{"process":{"pid":%d,"name":"chmod","file":{"path":"/usr/bin/chmod","uid":"1-9"},"user":{"uid":"0"},"auid":1000}},`+
		`"file":{"path":%q,"attributes":%d,"owner":{"uid":"0"}},"unmapped":{"group":0}}`+"\n", noon.Add(after).UnixMilli(), pid, path, 0o40000|mode)
}

// audited is an event of the audit log likewise.
func audited(path string, pid uint32, after time.Duration) string {
	id := fmt.Sprintf("msg=audit(%d.000:%d):", noon.Add(after).Unix(), pid)
	return "type=SYSCALL " + id + fmt.Sprintf(` arch=c000003e syscall=268 success=yes ppid=1 pid=%d auid=4294967295 uid=0 comm="perl" exe="/usr/bin/perl"`, pid) +
		"\ntype=CWD " + id + " cwd=\"/\"\ntype=PATH " + id + ` item=0 name="` + path + "\"\n"
}

func TestChanges(t *testing.T) {
	const dir = "/var/log/cisco"
	for _, tt := range []struct {
		name, events, audit string
		says, from          string
		offered             bool
	}{
		{"nothing logs", "", "", "neither log tells", monitor.LogPath + ", " + host.AuditLogPath, true},
		{"own event", attributes(dir, 0o755, 1, 0) + attributes(dir, 0o777, 2, time.Minute) + attributes("/opt/cisco", 0o777, 3, 2*time.Minute), "",
			"/usr/bin/chmod, process 2, user root, logged in as eve, 2026-01-01T12:01:00Z", monitor.LogPath, false},
		{"own event, and the audit log", attributes(dir, 0o777, 2, time.Minute), audited(dir, 2, time.Minute), "/usr/bin/chmod, process 2", monitor.LogPath, false},
		{"own event of the call alone", strings.Replace(strings.Replace(attributes(dir, 0o777, 2, 0), `"uid":"0"}},"unmapped":{"group":0`, `"uid":"4294967295"}},"unmapped":{"path_joined":true,"group":4294967295`, 1), `"attributes":16895`, `"attributes":511`, 1), "",
			"/usr/bin/chmod, process 2", monitor.LogPath, false},
		{"the audit log alone", attributes("/opt/cisco", 0o777, 2, 0), audited(dir, 4, 0), "/usr/bin/perl, process 4, user root, 2026-01-01T12:00:00Z", host.AuditLogPath, false},
		{"own event of another mode, and a later audit", attributes(dir, 0o755, 2, 0), audited(dir, 4, time.Second), "process 4", host.AuditLogPath, false},
		{"own event of another mode, and an earlier audit", attributes(dir, 0o755, 2, time.Minute), audited(dir, 4, 0), "neither log tells", "", true},
		{"damaged", "{\n\x00" + attributes(dir, 0o777, 2, 0)[10:], "type=PATH", "neither log tells", "", true},
	} {
		root := t.TempDir()
		for name, text := range map[string]string{"etc/passwd": "root:x:0:0::/:/bin/sh\neve:x:1000:1::/:/bin/sh\n", monitor.LogPath: tt.events, host.AuditLogPath: tt.audit} {
			path := filepath.Join(root, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); text != "" && err != nil {
				t.Fatal(err)
			}
		}
		f := sound()
		mode(dir, 0o777, 0, 0)(f)
		f.Changes = changes(host.At(root), f)
		if len(f.Changes) != 1 {
			t.Fatalf("%s: %+v", tt.name, f.Changes)
		}
		got := rule5{}.Check(f)
		e := evidence(got, "who changed "+dir)
		if got.State != fault.Raised || e == nil || !strings.Contains(e.Read, tt.says) || tt.from != "" && e.From != tt.from {
			t.Errorf("%s: %s %+v, want %q from %q", tt.name, got.State, e, tt.says, tt.from)
		}
		if c := f.Changes[dir]; (c.Known() && c.Value == nil) != tt.offered {
			t.Errorf("%s: %+v", tt.name, c)
		}
	}
}

// A log that may not be read is said to be so; what is as it should be is not looked for.
func TestChangesThatAreNotRead(t *testing.T) {
	f := sound()
	if got := changes(host.At(t.TempDir()), f); got != nil {
		t.Errorf("%+v", got)
	}
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, monitor.LogPath), 0o755); err != nil {
		t.Fatal(err)
	}
	mode("/opt/cisco", 0o777, 0, 0)(f)
	f.Changes = changes(host.At(root), f)
	if e := evidence(rule5{}.Check(f), "who changed /opt/cisco"); e == nil || !strings.Contains(e.Read, "not known: ") || e.From != monitor.LogPath {
		t.Errorf("%+v", e)
	}
}
