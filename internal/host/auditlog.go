package host

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

// AuditLogPath is where auditd(8) writes; audit.log.1 is the log before it, and so on.
const AuditLogPath = "/var/log/audit/audit.log"

// Bounds of reading it back.
const (
	maxAuditLog    = 16 << 20 // bytes, all logs together
	maxAuditLogs   = 4
	maxAuditEvents = 4096 // whose records are not all read yet
)

// attributeCalls are the numbers of the system calls that change mode or owner, by AUDIT_ARCH: chmod, fchmod, fchmodat, fchmodat2, chown,
// fchown, lchown, fchownat (include/uapi/asm-generic/unistd.h, arch/x86/entry/syscalls).
var attributeCalls = map[string][]int{
	"c000003e": {90, 91, 268, 452, 92, 93, 94, 260},                 // x86_64
	"c00000b7": {52, 53, 452, 54, 55},                               // aarch64
	"40000003": {15, 94, 306, 452, 182, 95, 16, 212, 207, 198, 298}, // i386
}

// auditRecord is a line of the audit log: "type=PATH msg=audit(1700000000.123:456): item=0 name="/x" …".
type auditRecord struct {
	kind, event string
	when        time.Time
	fields      map[string]string
}

// parseAuditRecord reads one line; false where it is none, or cut off.
func parseAuditRecord(line []byte) (auditRecord, bool) {
	if i := bytes.IndexByte(line, 0x1d); i >= 0 { // what auditd(8) adds with log_format=ENRICHED
		line = line[:i]
	}
	text, ok := strings.CutPrefix(string(line), "type=")
	if !ok {
		if _, text, ok = strings.Cut(string(line), " type="); !ok { // "node=NAME type=…"
			return auditRecord{}, false
		}
	}
	kind, text, ok := strings.Cut(text, " msg=audit(")
	if !ok {
		return auditRecord{}, false
	}
	event, text, ok := strings.Cut(text, "):")
	if !ok {
		return auditRecord{}, false
	}
	seconds, _, ok := strings.Cut(event, ":")
	whole, fraction, _ := strings.Cut(seconds, ".")
	s, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || !ok || s < 0 {
		return auditRecord{}, false
	}
	ms, err := strconv.ParseUint(fraction, 10, 10)
	if err != nil {
		ms = 0
	}
	r := auditRecord{kind: kind, event: event, when: time.Unix(s, int64(ms)*1e6), fields: map[string]string{}}
	for field := range strings.FieldsSeq(text) {
		if key, value, ok := strings.Cut(field, "="); ok {
			r.fields[key] = value
		}
	}
	return r, true
}

// text is a field that the kernel quotes, or writes in hexadecimal where it has a blank, a quote or a control character
// (audit_log_untrustedstring).
func (r auditRecord) text(key string) string {
	v := r.fields[key]
	if quoted, ok := strings.CutPrefix(v, `"`); ok {
		return strings.TrimSuffix(quoted, `"`)
	}
	if b, err := hex.DecodeString(v); err == nil {
		return string(b)
	}
	return ""
}

func (r auditRecord) number(key string) uint32 {
	n, err := strconv.ParseUint(r.fields[key], 10, 32)
	if err != nil {
		return UnsetLogin
	}
	return uint32(n)
}

// changesAttributes reports whether a SYSCALL record is of a call that did change mode or owner.
func (r auditRecord) changesAttributes() bool {
	call, err := strconv.Atoi(r.fields["syscall"])
	if err != nil || r.fields["success"] != "yes" {
		return false
	}
	for _, n := range attributeCalls[r.fields["arch"]] {
		if n == call {
			return true
		}
	}
	return false
}

// auditChanges looks for the newest change of some files, while the log is read backwards.
type auditChanges struct {
	wanted map[string]bool
	found  map[string]Change
	paths  map[string][]string // of events whose SYSCALL record, which comes first in the log, was not read yet
}

// line takes the next line, and reports whether more are of use.
func (c *auditChanges) line(line []byte) bool {
	if !bytes.Contains(line, []byte("type=PATH")) && !bytes.Contains(line, []byte("type=CWD")) && !bytes.Contains(line, []byte("type=SYSCALL")) {
		return true
	}
	r, ok := parseAuditRecord(line)
	if !ok {
		return true
	}
	switch r.kind {
	case "PATH":
		if name := r.text("name"); name != "" && len(name) <= 4096 && len(c.paths) < maxAuditEvents {
			c.paths[r.event] = append(c.paths[r.event], name)
		}
	case "CWD":
		for i, name := range c.paths[r.event] {
			if !path.IsAbs(name) {
				c.paths[r.event][i] = path.Join(r.text("cwd"), name)
			}
		}
	case "SYSCALL":
		c.call(r)
	}
	return len(c.found) < len(c.wanted)
}

// call is the record that begins an event, the last one that is read of it. Those that are still open then were never finished.
func (c *auditChanges) call(r auditRecord) {
	names := c.paths[r.event]
	clear(c.paths)
	if !r.changesAttributes() {
		return
	}
	for _, name := range names {
		name = path.Clean(name)
		if _, newer := c.found[name]; c.wanted[name] && !newer {
			c.found[name] = Change{When: r.when, PID: r.number("pid"), UID: r.number("uid"), Login: r.number("auid"), Exe: r.text("exe"), Comm: r.text("comm")}
		}
	}
}

// AuditChanges reads in the kernel's audit log, as auditd(8) wrote it, who changed mode or owner of some paths last. A path of which the
// log does not tell is not in the answer; where there is no log, Err is fs.ErrNotExist. It is told of the calls that name the path.
func AuditChanges(r Root, paths []string) Reading[map[string]Change] {
	c := &auditChanges{wanted: map[string]bool{}, found: map[string]Change{}, paths: map[string][]string{}}
	for _, p := range paths {
		c.wanted[p] = true
	}
	left := int64(maxAuditLog)
	for i := range maxAuditLogs {
		name := AuditLogPath
		if i > 0 {
			name += "." + strconv.Itoa(i)
		}
		read, err := r.Backwards(name, left, c.line)
		if err != nil && (i == 0 || !errors.Is(err, fs.ErrNotExist)) {
			return NotKnown[map[string]Change](name, err)
		}
		if left -= read; err != nil || left <= 0 || len(c.found) == len(c.wanted) {
			break
		}
	}
	return Read(c.found, AuditLogPath)
}
