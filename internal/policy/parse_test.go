package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// on is the default policy with these switches.
func on(files, network bool) Policy {
	p := Default()
	p.MonitorFiles, p.MonitorNetwork = files, network
	return p
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       Policy
		err        string // part of the error; empty: none
	}{
		{"both on", `<policy version="1"><monitor files="true" network="true"/></policy>`, on(true, true), ""},
		{"both off", `<policy version="1"><monitor files="false" network="0"></monitor></policy>`, on(false, false), ""},
		{"network off", `<policy version="1"><monitor network="false"/></policy>`, on(true, false), ""},
		{"nothing said", `<policy version="1"/>`, on(true, true), ""},
		{"declaration, comment, mark", "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<!-- ours -->\n<policy version=\"1\">\n\t<!-- off -->\n<monitor files=\"0\"/></policy>\n<!-- end -->\n", on(false, true), ""},

		{"empty", "", Policy{}, "p.xml:1: expected the element <policy>, found the end of the file"},
		{"blank lines", "\n\n", Policy{}, "p.xml:3: expected the element <policy>"},
		{"other root", "\n<config/>", Policy{}, "p.xml:2: expected the element <policy>, found <config>"},
		{"namespace", `<policy xmlns="urn:x" version="1"/>`, Policy{}, "p.xml:1: "},
		{"no version", "<policy/>", Policy{}, `p.xml:1: <policy version="">: expected version="1"`},
		{"newer version", `<policy version="2"/>`, Policy{}, `expected version="1"`},
		{"unknown element", "<policy version=\"1\">\n <monitor/>\n <scans/>\n</policy>", Policy{}, "p.xml:3: expected <monitor>, <kernel>, <exclusions>, <limits>, <scan> or </policy>, found <scans>"},
		{"unknown attribute", "<policy version=\"1\">\n<monitor\n file=\"true\"/></policy>", Policy{}, `p.xml:2: <monitor> has no attribute "file"; expected files, network`},
		{"attribute twice", `<policy version="1"><monitor files="true" files="false"/></policy>`, Policy{}, `"files" twice`},
		{"monitor twice", "<policy version=\"1\">\n<monitor/>\n<monitor/></policy>", Policy{}, "p.xml:3: <monitor> a second time; the first is on line 2"},
		{"no boolean", "<policy version=\"1\">\n<monitor files=\"yes\"/></policy>", Policy{}, `p.xml:2: <monitor files="yes">: expected true or false`},
		{"modules", `<policy version="1"><monitor source="modules"/></policy>`, func() Policy { p := Default(); p.Source = SourceModules; return p }(), ""},
		{"another source", "<policy version=\"1\">\n<monitor source=\"ebpf\"/></policy>", Policy{}, `p.xml:2: <monitor source="ebpf">: expected auto or modules`},
		{"kernel", `<policy version="1"><kernel btf="/srv/btf" key="/etc/keys/mok.key" certificate="/etc/keys/mok.der"/></policy>`, func() Policy {
			p := Default()
			p.BTFFolder, p.ModuleKey = "/srv/btf", ModuleKey{"/etc/keys/mok.key", "/etc/keys/mok.der"}
			return p
		}(), ""},
		{"key alone", "<policy version=\"1\">\n<kernel key=\"/k\"/></policy>", Policy{}, "p.xml:2: <kernel>: has one of key and certificate, expected both or neither"},
		{"relative folder", `<policy version="1"><kernel btf="srv/btf"/></policy>`, Policy{}, `p.xml:1: <kernel btf="srv/btf">: expected one from the root of at most 4095 bytes`},
		{"no folder", `<policy version="1"><kernel btf=""/></policy>`, Policy{}, `p.xml:1: <kernel btf="">: expected one from the root`},
		{"text", "<policy version=\"1\">\n\n  on</policy>", Policy{}, `p.xml:3: expected an element, found the text "on"`},
		{"child of monitor", "<policy version=\"1\"><monitor>\n<a/></monitor></policy>", Policy{}, "p.xml:2: expected </monitor>, found <a>"},
		{"second root", "<policy version=\"1\"/>\n<policy version=\"1\"/>", Policy{}, "p.xml:2: expected the end of the file"},
		{"truncated", "<policy version=\"1\">\n<monitor", Policy{}, "p.xml:2: not XML"},
		{"not closed", "<policy version=\"1\">\n", Policy{}, "p.xml:2: not XML"},
		{"document type", "<!DOCTYPE p [<!ENTITY a \"b\">]>\n<policy version=\"1\"/>", Policy{}, "p.xml:1: a policy has no document type"},
		{"entity", `<policy version="&a;"/>`, Policy{}, "p.xml:1: not XML"},
		{"instruction", `<?php x?><policy version="1"/>`, Policy{}, "p.xml:1: a policy has no processing instructions"},
		{"other encoding", `<?xml version="1.0" encoding="UTF-16"?><policy version="1"/>`, Policy{}, "p.xml:1: not XML"},
		{"bytes", "\x00\xff\xfe", Policy{}, "p.xml:1: not XML"},
		{"limits", `<policy version="1"><limits event-log="128"/></policy>`, func() Policy { p := Default(); p.Limits.EventLogMiB = 128; return p }(), ""},
		{"limit too small", "<policy version=\"1\">\n<limits event-log=\"1\"/></policy>", Policy{}, `p.xml:2: <limits event-log="1">: expected a number of MiB from 2 to 16384`},
		{"scan", `<policy version="1"><scan enabled="false" memory="512" file-size="25" workers="4" unsigned="true" quarantine="all"/></policy>`,
			func() Policy { p := Default(); p.Scan = Scan{false, 512, 25, 4, true, QuarantineAll}; return p }(), ""},
		{"part of scan", `<policy version="1"><scan workers="1"/></policy>`, func() Policy { p := Default(); p.Scan.Workers = 1; return p }(), ""},
		{"scan memory too small", "<policy version=\"1\">\n<scan memory=\"63\"/></policy>", Policy{}, `p.xml:2: <scan memory="63">: expected a number of MiB from 64 to 65536`},
		{"scan of nothing", "<policy version=\"1\">\n<scan workers=\"\"/></policy>", Policy{}, `p.xml:2: <scan workers="">: expected a number of scans from 1 to 64`},
		{"quarantine of what no package has", `<policy version="1"><scan quarantine="unowned"/></policy>`, func() Policy { p := Default(); p.Scan.Quarantine = QuarantineUnowned; return p }(), ""},
		{"quarantine perhaps", "<policy version=\"1\">\n<scan quarantine=\"on\"/></policy>", Policy{}, `p.xml:2: <scan quarantine="on">: expected off, unowned or all`},
		{"scan perhaps", "<policy version=\"1\">\n<scan enabled=\"maybe\"/></policy>", Policy{}, `p.xml:2: <scan enabled="maybe">: expected true or false`},
		{"limits twice", "<policy version=\"1\"><limits/>\n<limits/></policy>", Policy{}, "p.xml:2: <limits> a second time; the first is on line 1"},
		{"exclusions", `<policy version="1"><exclusions><path prefix="/srv/"/></exclusions></policy>`, func() Policy { p := Default(); p.Exclusions.Paths = []string{"/srv/"}; return p }(), ""},
		{"version of exclusions inside", `<policy version="1"><exclusions version="1"/></policy>`, Policy{}, `p.xml:1: <exclusions> has no attributes, found "version"`},
		{"schedules", "<policy version=\"1\"><scan>\n<schedule name=\"weekly\" on=\"sun 03:00\"><path name=\"/\"/></schedule>\n" +
			"<schedule name=\"2\" on=\"fri,mon 22:59\" delay=\"90\" missed=\"run\" cross-file-systems=\"true\"><path name=\"/srv\"/><path name=\"/a b\"/></schedule></scan></policy>",
			func() Policy {
				p := Default()
				p.Schedules = []Schedule{
					{Name: "weekly", On: When{1, 3, 0}, Paths: []string{"/"}},
					{"2", When{1<<time.Monday | 1<<time.Friday, 22, 59}, 90 * time.Minute, true, true, []string{"/srv", "/a b"}},
				}
				return p
			}(), ""},
		{"nameless schedule", scheduled(`on="daily 03:00"`, `/srv`), Policy{}, `p.xml:2: <schedule name="">: expected 1 to 32 letters`},
		{"name of a schedule", scheduled(`name="../x" on="daily 03:00"`, `/srv`), Policy{}, `p.xml:2: <schedule name="../x">: expected 1 to 32 letters`},
		{"schedule of no time", scheduled(`name="x"`, `/srv`), Policy{}, `p.xml:2: <schedule on=…>: "": expected "daily HH:MM"`},
		{"schedule at 24:00", scheduled(`name="x" on="daily 24:00"`, `/srv`), Policy{}, `"daily 24:00": expected "daily HH:MM"`},
		{"schedule on no day", scheduled(`name="x" on="son 03:00"`, `/srv`), Policy{}, `"son 03:00": expected "daily HH:MM"`},
		{"schedule on a day twice", scheduled(`name="x" on="sun,mon,sun 03:00"`, `/srv`), Policy{}, `p.xml:2: <schedule on=…>: "sun,mon,sun 03:00": sun twice`},
		{"delay of a day", scheduled(`name="x" on="daily 03:00" delay="1440"`, `/srv`), Policy{}, `p.xml:2: <schedule delay="1440">: expected a number of minutes from 0 to 1439`},
		{"missed perhaps", scheduled(`name="x" on="daily 03:00" missed="maybe"`, `/srv`), Policy{}, `p.xml:2: <schedule missed="maybe">: expected run or skip`},
		{"schedule of no path", "<policy version=\"1\"><scan>\n<schedule name=\"x\" on=\"daily 03:00\">\n\n</schedule></scan></policy>", Policy{}, `p.xml:2: <schedule name="x">: has no <path>, expected 1 to 64`},
		{"schedule of a relative path", scheduled(`name="x" on="daily 03:00"`, `srv`), Policy{}, `p.xml:3: <path name="srv">: expected one from the root`},
		{"schedule of a path with a way up", scheduled(`name="x" on="daily 03:00"`, `/srv/..`), Policy{}, `p.xml:3: <path name="/srv/..">: expected one from the root`},
		{"schedule of a path twice", scheduled(`name="x" on="daily 03:00"`, `/srv`, `/srv`), Policy{}, `p.xml:4: <path name="/srv"> a second time`},
		{"schedule of many paths", scheduled(`name="x" on="daily 03:00"`, numbered("/", MaxSchedulePaths+1)...), Policy{}, `p.xml:67: <path>: the schedule has 64 before it, expected at most 64 in all`},
		{"schedule twice", "<policy version=\"1\"><scan>" + strings.Repeat("<schedule name=\"x\" on=\"daily 03:00\"><path name=\"/\"/></schedule>\n", 2) + "</scan></policy>", Policy{}, `p.xml:2: <schedule name="x"> a second time`},
		{"too large", strings.Repeat(" ", MaxBytes+1), Policy{}, "p.xml: larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse("p.xml", []byte(c.text))
			if !got.Equal(c.want) {
				t.Errorf("got %+v, expected %+v", got, c.want)
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, expected %q", err, c.err)
			}
		})
	}
}

// scheduled is a policy with one schedule: its attributes on line 2, and its paths each on a line of its own.
func scheduled(attributes string, paths ...string) string {
	b := "<policy version=\"1\"><scan>\n<schedule " + attributes + ">\n"
	for _, p := range paths {
		b += `<path name="` + p + "\"/>\n"
	}
	return b + "</schedule></scan></policy>"
}

// numbered are so many texts, each with its number at the end.
func numbered(text string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = text + strconv.Itoa(i)
	}
	return all
}

func TestSchedulesAreBounded(t *testing.T) {
	for n, bad := range map[int]string{MaxSchedules: "", MaxSchedules + 1: "p.xml:18: <schedule>: the policy has 16 before it, expected at most 16 in all"} {
		b := "<policy version=\"1\"><scan>\n"
		for i := range n {
			b += fmt.Sprintf("<schedule name=\"n%d\" on=\"daily 03:00\"><path name=\"/\"/></schedule>\n", i)
		}
		p, err := Parse("p.xml", []byte(b+"</scan></policy>"))
		if bad == "" && (err != nil || len(p.Schedules) != n) || bad != "" && (err == nil || err.Error() != bad) {
			t.Errorf("%d schedules: %d, %v; expected %q", n, len(p.Schedules), err, bad)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.xml")
	if p, err := Load(path); !p.Equal(Default()) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %+v, %v; expected the default and fs.ErrNotExist", p, err)
	}
	os.WriteFile(path, []byte(`<policy version="1"><monitor files="false"/></policy>`), 0o644)
	if p, err := Load(path); err != nil || p.MonitorFiles {
		t.Errorf("sound: %+v, %v", p, err)
	}
	os.WriteFile(path, []byte("\n<x/>"), 0o644)
	if p, err := Load(path); !p.Equal(Policy{}) || err == nil || !strings.HasPrefix(err.Error(), path+":2: ") {
		t.Errorf("malformed: %+v, %v; expected file and line", p, err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "expected a regular file") {
		t.Errorf("folder: %v", err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(fifo); err == nil || !strings.Contains(err.Error(), "expected a regular file") {
		t.Errorf("pipe: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`<policy version="1"><monitor files="true" network="true"/></policy>`))
	f.Add([]byte("<?xml version=\"1.0\"?>\n<!-- c --><policy version='1'>\n<monitor/></policy>"))
	f.Add([]byte("<policy><policy>"))
	f.Add([]byte(scheduled(`name="weekly" on="sun,mon 03:00" delay="90" missed="run" cross-file-systems="true"`, "/home", "/")))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse("p.xml", b)
		if err != nil && (!p.Equal(Policy{}) || !strings.HasPrefix(err.Error(), "p.xml:")) {
			t.Errorf("%+v, %v; expected an empty policy and an error with file and line", p, err)
		}
		for _, s := range p.Schedules {
			if on, err := ParseWhen(s.On.String()); err != nil || on != s.On || on.Days == 0 || len(s.Paths) == 0 {
				t.Errorf("%+v: %v, %v", s, on, err)
			}
		}
	})
}
