package lab

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name, port, out string
		status          int
		told            bool
		reboots         string // the passwords of each
	}{
		{name: "all well", port: "a\r\nb\n\namp-lab: exit 0\n", out: "a\nb\n\n", told: true},
		{name: "failed", port: "a\namp-lab: exit 3\n", out: "a\n", status: 3, told: true},
		{name: "died", port: "a\nhalf a li", out: "a\nhalf a li\n"},
		{name: "no number", port: "amp-lab: exit x\n"},
		{name: "no exit status", port: "amp-lab: exit 256\n", status: 256},
		{name: "nothing"},
		{name: "booted again", port: "a\namp-lab: reboot secret\nb\namp-lab: reboot \namp-lab: exit 0\n", out: "a\nb\n", told: true, reboots: "<secret><>"},
		{name: "died on the way", port: "a\namp-lab: reboot secret\n", out: "a\n", reboots: "<secret>"},
	} {
		var out bytes.Buffer
		reboots := ""
		status, told, err := follow(strings.NewReader(c.port), &out, func(answer string) error {
			reboots += "<" + answer + ">"
			return nil
		})
		if status != c.status || told != c.told || err != nil || out.String() != c.out || reboots != c.reboots {
			t.Errorf("%s: status %d, told %t, %v, output %q, reboots %q", c.name, status, told, err, out.String(), reboots)
		}
	}
	bad := errors.New("bad")
	if _, told, err := follow(strings.NewReader("amp-lab: reboot\namp-lab: exit 0\n"), io.Discard, func(string) error { return bad }); !errors.Is(err, bad) || told {
		t.Errorf("told %t, error %v, expected %v", told, err, bad)
	}
}

func TestELLikePolicy(t *testing.T) {
	cil := elLikePolicy([]string{"file", "bpf", "perf_event"})
	if strings.Contains(cil, "bpf") {
		t.Error("bpf is allowed")
	}
	for _, want := range []string{"(file (all))", "(perf_event (all))", "(typeattributeset domain (unconfined_service_t))"} {
		if !strings.Contains(cil, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if open, shut := strings.Count(cil, "("), strings.Count(cil, ")"); open != shut {
		t.Errorf("%d opening and %d closing parentheses", open, shut)
	}
}

func TestSetLoginDefs(t *testing.T) {
	for _, c := range []struct{ name, before, after string }{
		{"changed where it stands", "A 1\nUSERGROUPS_ENAB\tyes\nB 2\n", "A 1\nUSERGROUPS_ENAB no\nB 2\n"},
		{"added", "A 1\n# USERGROUPS_ENAB yes\n", "A 1\n# USERGROUPS_ENAB yes\nUSERGROUPS_ENAB no\n"},
	} {
		path := filepath.Join(t.TempDir(), "login.defs")
		if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := setLoginDefs(path, map[string]string{"USERGROUPS_ENAB": "no"}); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); string(got) != c.after {
			t.Errorf("%s: %q, expected %q", c.name, got, c.after)
		}
	}
}

func TestArguments(t *testing.T) {
	img := Image{Guest: Guest{CPUs: 2, MemoryMiB: 512, SELinux: SELinux{Mode: "enforcing"}}, Disk: "/d"}
	args := strings.Join(img.arguments("/d", "x.target"), " ")
	for _, want := range []string{"-nic none", "-accel tcg", "snapshot=on", "selinux=1", "file=/d/payload.img,if=virtio,format=raw,readonly=on", "systemd.unit=x.target", "-no-reboot"} {
		if !strings.Contains(args, want) {
			t.Errorf("%q is missing in %s", want, args)
		}
	}
	img.Guest.SELinux.Mode = "disabled"
	if args := strings.Join(img.arguments("/d", "x.target"), " "); strings.Contains(args, "selinux=1") {
		t.Errorf("a guest without SELinux boots with it: %s", args)
	}
}

// A guest with firmware gets its kernel from it, and may be booted again.
func TestFirmwareArguments(t *testing.T) {
	for _, c := range []struct {
		guest    Guest
		want, no []string
	}{
		{Guest{SecureBoot: true}, []string{"q35,smm=on", "property=secure,value=on", "readonly=on,file=" + secureFirmware.code}, nil},
		{Guest{FromDisk: true}, []string{"-machine q35 ", "drive=disk,bootindex=1", "if=none,id=disk,format=raw,snapshot=on", "readonly=on,file=" + plainFirmware.code}, []string{"smm=on", "property=secure"}},
	} {
		c.guest.SELinux.Mode = "disabled"
		args := strings.Join(Image{Guest: c.guest}.arguments("/d", "x.target"), " ")
		for _, want := range append(c.want, "file=/d/variables.fd", "file=fat:/d/esp", "bootindex=0") {
			if !strings.Contains(args, want) {
				t.Errorf("%q is missing in %s", want, args)
			}
		}
		for _, no := range append(c.no, "-kernel", "-no-reboot", "-append") {
			if strings.Contains(args, no) {
				t.Errorf("%q is in %s", no, args)
			}
		}
	}
}

func TestClock(t *testing.T) {
	for _, c := range []struct {
		counted bool
		want    string
	}{
		{false, "-accel tcg,thread=single -cpu"},
		{true, "-accel tcg,thread=single -icount shift=0,sleep=off -cpu"},
	} {
		img := Image{Guest: Guest{CPUs: 1, Counted: c.counted, SELinux: SELinux{Mode: "disabled"}}}
		if got := strings.Join(img.arguments("dir", "target"), " "); !strings.HasPrefix(got, c.want) {
			t.Errorf("counted %t: %s, expected %s at the start", c.counted, got, c.want)
		}
	}
}
