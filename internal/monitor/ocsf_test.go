package monitor

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var at = time.UnixMilli(1_790_000_000_123)

func execEvent(path string, args ...string) Event {
	return Event{
		Kind: Exec, Time: at, File: File{Path: path}, Args: args,
		Process: &Process{PID: 4711, PPID: 1, UID: 1000, EUID: 0, Start: at.Add(-time.Second), StartBoot: 12345678901, AUID: Unset, Comm: "ls", Parent: "bash"},
	}
}

func exitEvent(code, signal int) Event {
	e := execEvent("")
	e.Kind, e.ExitCode, e.Signal, e.Args = Exit, code, signal, nil
	return e
}

var comparable = cmpopts.EquateComparable(netip.AddrPort{})

func encode(e Event) []byte { return newEncoder("host").append(nil, &e) }

func TestEncodeFields(t *testing.T) {
	want := `{"time":1790000000123,"class_uid":1007,"category_uid":1,"activity_id":1,"type_uid":100701,"severity_id":1,` +
		`"metadata":{"version":"1.2.0","profiles":["host","container","linux/linux_users"],"product":{"name":"AMP connector","vendor_name":"ampconnector"}},` +
		`"device":{"hostname":"host","type_id":0},"actor":{"process":{"pid":1,"name":"bash"}},` +
		`"process":{"pid":4711,"uid":"4711-12345678901","name":"ls","created_time":1789999999123,"cmd_line":"ls -l a b",` +
		`"file":{"path":"/bin/ls","name":"ls","type_id":1},"user":{"uid":"1000"},"euid":0,"parent_process":{"pid":1,"name":"bash"},` +
		`"xattributes":{"args":["ls","-l","a b"]}}}` + "\n"
	if diff := cmp.Diff(want, string(encode(execEvent("/bin/ls", "ls", "-l", "a b")))); diff != "" {
		t.Error(diff)
	}
	got := string(encode(exitEvent(-1, 9)))
	for _, part := range []string{`"type_uid":100702`, `"exit_code":-1`, `"unmapped":{"signal":9}`, `"actor":{"process":{"pid":4711,"name":"ls"}}`} {
		if !strings.Contains(got, part) {
			t.Errorf("%s is not in %s", part, got)
		}
	}
}

func TestEncodeAndParse(t *testing.T) {
	truncated := execEvent("/bin/ls", "ls")
	truncated.ArgsTruncated = true
	for name, e := range map[string]Event{
		"plain":           execEvent("/bin/ls", "ls", "-l"),
		"no arguments":    execEvent("/bin/ls"),
		"empty argument":  execEvent("/bin/ls", ""),
		"empty arguments": execEvent("/bin/ls", "ls", "", "", "x"),
		"spaces":          execEvent("/bin/l s", "l s", " "),
		"quotes":          execEvent(`/bin/"\`, `"`, `\`),
		"control bytes":   execEvent("/bin/\x01\x1b[2J", "\n", "\r\t\x00\x7f\u0085"),
		"unicode":         execEvent("/tmp/日本語", "é", "\U0001f600", "\u2028"),
		"path not UTF-8":  execEvent("/tmp/\xff\xfe", "ls"),
		"truncated":       truncated,
		"exit":            exitEvent(3, 0),
		"killed":          exitEvent(-1, 9),
	} {
		t.Run(name, func(t *testing.T) {
			b := encode(e)
			if !utf8.Valid(b) || !json.Valid(b) || strings.Count(string(b), "\n") != 1 {
				t.Errorf("not one line of JSON: %q", b)
			}
			r, err := ParseLine(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Record{Event: e, Host: "host"}, r, comparable); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEncodeInvalidUTF8(t *testing.T) {
	r, err := ParseLine(encode(execEvent("/x", "a\xffb", "\xe3\x81")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a\ufffdb", "\ufffd\ufffd"}, r.Args); diff != "" {
		t.Error(diff)
	}
}

// A longest event must fit into the longest line, or Follow would leave it out.
func TestLongestLine(t *testing.T) {
	e := execEvent(strings.Repeat("\xff", 4095), strings.Repeat("\x01", 4096))
	e.Args = append(e.Args, "")
	if n := len(encode(e)); n > MaxLine {
		t.Errorf("line of %d bytes, MaxLine is %d", n, MaxLine)
	}
	e = execEvent("/x", make([]string, 4096)...)
	if n := len(encode(e)); n > MaxLine {
		t.Errorf("line of %d bytes, MaxLine is %d", n, MaxLine)
	}
}

func TestParseLineErrors(t *testing.T) {
	for name, line := range map[string]string{
		"empty":          "",
		"not JSON":       "\x00\x01",
		"half a line":    string(encode(execEvent("/x"))[:100]),
		"other class":    `{"class_uid":2004,"activity_id":1,"actor":{"process":{"user":{"uid":"0"}}}}`,
		"other activity": `{"class_uid":1007,"activity_id":9,"actor":{"process":{"user":{"uid":"0"}}},"process":{"user":{"uid":"0"}}}`,
		"other name":     `{"class_uid":4001,"activity_id":99,"activity_name":"Wink","actor":{"process":{"user":{"uid":"0"}}}}`,
		"file's uid":     `{"class_uid":1001,"activity_id":1,"actor":{"process":{"user":{"uid":"0"}}},"file":{"uid":"17"}}`,
		"address":        `{"class_uid":4001,"activity_id":1,"actor":{"process":{"user":{"uid":"0"}}},"src_endpoint":{"ip":"1.2.3"}}`,
		"duration":       `{"class_uid":4001,"activity_id":2,"actor":{"process":{"user":{"uid":"0"}}},"duration":-1}`,
		"uid":            `{"class_uid":1007,"activity_id":1,"process":{"user":{"uid":"root"}}}`,
		"pid":            `{"class_uid":1007,"activity_id":1,"process":{"pid":-1,"user":{"uid":"0"}}}`,
		"path_hex":       `{"class_uid":1007,"activity_id":1,"process":{"user":{"uid":"0"}},"unmapped":{"path_hex":"zz"}}`,
		"too long":       strings.Repeat(" ", MaxLine+1),
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := ParseLine([]byte(line)); err == nil {
				t.Errorf("no error, got %+v", r)
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	c := newEncoder("host.example.org")
	e := execEvent("/usr/bin/gcc", "gcc", "-O2", "-c", "-o", "main.o", "main.c", "-DNAME=a b")
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = c.append(buf[:0], &e)
	}
	b.SetBytes(int64(len(buf)))
}

// BenchmarkEncodeLife has processes that do nothing but execute a file and exit.
func BenchmarkEncodeLife(b *testing.B) {
	c := newEncoder("host.example.org")
	exec := execEvent("/usr/bin/gcc", "gcc", "-O2", "-c", "-o", "main.o", "main.c")
	p := *exec.Process
	p.Exe, p.Args = exec.File, exec.Args
	exec.Process = &p
	exit := Event{Kind: Exit, Time: exec.Time, Process: &p}
	buf := make([]byte, 0, 8192)
	b.ReportAllocs()
	for b.Loop() {
		p.version = versions.Add(1)
		buf = c.append(c.append(buf[:0], &exec), &exit)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkAppend(b *testing.B) {
	l, err := OpenLog(b.TempDir()+"/events.jsonl", 64<<20)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	e := execEvent("/usr/bin/gcc", "gcc", "-O2", "-c", "-o", "main.o", "main.c")
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Append(&e); err != nil {
			b.Fatal(err)
		}
	}
}
