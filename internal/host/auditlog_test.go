package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// auditEvent is what Debian 12's auditd 3.0.9 writes of one call.
func auditEvent(serial, call int, success, exe, cwd, name string) string {
	id := fmt.Sprintf("msg=audit(1700000%03d.250:%d):", serial, serial)
	return "type=SYSCALL " + id + fmt.Sprintf(` arch=c000003e syscall=%d success=%s exit=0 a0=ffffff9c a1=5581 a2=1ff a3=0 items=1 ppid=11 pid=%d auid=1000 uid=0 gid=0 euid=0 tty=pts0 ses=1 comm="chmod" exe=%s subj=unconfined key="amp"`, call, success, serial, exe) +
		"\x1dARCH=x86_64 SYSCALL=fchmodat AUID=\"eve\" UID=\"root\"\n" +
		"type=CWD " + id + ` cwd="` + cwd + "\"\n" +
		"type=PATH " + id + ` item=0 name=` + name + ` inode=42 dev=fe:00 mode=040755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0` + "\x1dOUID=\"root\"\n" +
		"type=PROCTITLE " + id + " proctitle=63686D6F64\n"
}

func TestAuditChanges(t *testing.T) {
	const chmod = `"/usr/bin/chmod"`
	change := func(serial int, exe string) Change {
		return Change{When: time.Unix(1700000000+int64(serial), 250e6), PID: uint32(serial), Login: 1000, Exe: exe, Comm: "chmod"}
	}
	for name, c := range map[string]struct {
		log, older string
		want       map[string]Change
	}{
		"by its name":    {auditEvent(5, 268, "yes", chmod, "/root", `"/opt/cisco"`), "", map[string]Change{"/opt/cisco": change(5, "/usr/bin/chmod")}},
		"from a folder":  {auditEvent(5, 90, "yes", chmod, "/opt", `"cisco/"`), "", map[string]Change{"/opt/cisco": change(5, "/usr/bin/chmod")}},
		"in hexadecimal": {auditEvent(5, 92, "yes", "2F6F70742F6120622F78", "/", "2F6F70742F636973636F"), "", map[string]Change{"/opt/cisco": change(5, "/opt/a b/x")}},
		"the newest": {auditEvent(5, 268, "yes", chmod, "/", `"/opt/cisco"`) + auditEvent(6, 260, "yes", `"/bin/chown"`, "/", `"/opt/cisco"`) + auditEvent(7, 257, "yes", chmod, "/", `"/opt/cisco"`), "",
			map[string]Change{"/opt/cisco": change(6, "/bin/chown")}},
		"in the log before":  {auditEvent(9, 268, "yes", chmod, "/", `"/srv"`), auditEvent(5, 268, "yes", chmod, "/", `"/var/log/cisco"`), map[string]Change{"/var/log/cisco": change(5, "/usr/bin/chmod")}},
		"refused":            {auditEvent(5, 268, "no", chmod, "/", `"/opt/cisco"`), "", map[string]Change{}},
		"another call":       {auditEvent(5, 257, "yes", chmod, "/", `"/opt/cisco"`), "", map[string]Change{}},
		"another path":       {auditEvent(5, 268, "yes", chmod, "/", `"/opt/cisco2"`), "", map[string]Change{}},
		"without its call":   {auditEvent(5, 268, "yes", chmod, "/", `"/opt/cisco"`)[200:], "", map[string]Change{}},
		"of a node, damaged": {"junk\ntype=PATH msg=audit(x\n\x00\nnode=n " + auditEvent(5, 268, "yes", chmod, "/", `"/opt/cisco"`) + "type=SYSC", "", map[string]Change{"/opt/cisco": change(5, "/usr/bin/chmod")}},
		"empty":              {"", "", map[string]Change{}},
	} {
		tr := tree{"var/log/audit/audit.log": c.log}
		if c.older != "" {
			tr["var/log/audit/audit.log.1"] = c.older
		}
		got := AuditChanges(tr.root(t), []string{"/opt/cisco", "/var/log/cisco"})
		if diff := cmp.Diff(c.want, got.Value); diff != "" || got.Err != nil {
			t.Errorf("%s: %v\n%s", name, got.Err, diff)
		}
	}
	if got := AuditChanges(tree{}.root(t), []string{"/opt/cisco"}); !errors.Is(got.Err, fs.ErrNotExist) {
		t.Errorf("no log: %+v", got)
	}
}

func TestBackwards(t *testing.T) {
	long := strings.Repeat("x", backwardsChunk*2)
	for _, c := range []struct {
		text  string
		limit int64
		want  []string
	}{
		{"", 100, nil}, {"\n\n", 100, nil}, {"a\nb\n", 100, []string{"b", "a"}}, {"a\nb", 100, []string{"b", "a"}}, {"aaa\nb\n", 3, []string{"b"}},
		{"a\n" + long + "\nb\n", 10 * backwardsChunk, []string{"b", "a"}},
		{strings.Repeat("line\n", backwardsChunk), 20, []string{"line", "line", "line", "line"}[:3]},
	} {
		var got []string
		_, err := tree{"log": c.text}.root(t).Backwards("/log", c.limit, func(b []byte) bool {
			if len(b) < 10 {
				got = append(got, string(b))
			}
			return true
		})
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%.20q, %d: %v\n%s", c.text, c.limit, err, diff)
		}
	}
	count := 0
	if _, err := (tree{"log": strings.Repeat("0123456789\n", backwardsChunk)}).root(t).Backwards("/log", 1<<30, func(b []byte) bool {
		count++
		return string(b) == "0123456789"
	}); err != nil || count != backwardsChunk {
		t.Errorf("%d lines, %v", count, err)
	}
}

func FuzzAuditLog(f *testing.F) {
	f.Add([]byte(auditEvent(5, 268, "yes", `"/usr/bin/chmod"`, "/opt", `"cisco"`)))
	f.Add([]byte("type=PATH msg=audit(1.1:1): name=2F6F70742F636973636F\ntype=SYSCALL msg=audit(:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &auditChanges{wanted: map[string]bool{"/opt/cisco": true}, found: map[string]Change{}, paths: map[string][]string{}}
		lines := bytes.Split(b, []byte("\n"))
		slices.Reverse(lines)
		for _, line := range lines {
			c.line(line)
		}
		for name, c := range c.found {
			if name != "/opt/cisco" || c.When.Unix() < 0 {
				t.Errorf("%q: %+v", name, c)
			}
		}
	})
}
