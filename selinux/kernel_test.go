package selinux

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/host"
)

const serviceContext = "system_u:system_r:unconfined_service_t:s0"

// recorded is a kernel whose files are in a directory and whose answers were recorded.
type recorded struct {
	kernel
	dir     string
	answers map[string]string // by file's base name and request
}

func newRecorded(t *testing.T) *recorded {
	r := &recorded{dir: t.TempDir(), answers: map[string]string{}}
	r.kernel = kernel{
		selinuxfs: filepath.Join(r.dir, "selinuxfs"), proc: filepath.Join(r.dir, "proc"), cgroup: filepath.Join(r.dir, "cgroup"),
		transact: func(file, request string) (string, error) {
			a, ok := r.answers[filepath.Base(file)+" "+request]
			if !ok {
				return "", &os.PathError{Op: "write", Path: file, Err: syscall.EINVAL}
			}
			return a, nil
		},
		fileLabel: func(path string) (string, error) { return "system_u:object_r:bin_t:s0", nil },
	}
	// As on Debian 12 with its default policy loaded.
	r.file(t, "proc/filesystems", "nodev\tsysfs\nnodev\tselinuxfs\n\text4\n")
	r.file(t, "selinuxfs/enforce", "1")
	r.file(t, "selinuxfs/deny_unknown", "0")
	r.file(t, "selinuxfs/class/process/index", "2")
	r.file(t, "selinuxfs/class/bpf/index", "92")
	for i, p := range BPFNeed.Permissions {
		r.file(t, "selinuxfs/class/bpf/perms/"+p, fmt.Sprint(i+1))
	}
	return r
}

func (r *recorded) file(t *testing.T, name, content string) {
	write(t, filepath.Join(r.dir, name), content)
}

func (r *recorded) answer(answer string) {
	r.answers["access "+serviceContext+" "+serviceContext+" 92"] = answer
}

func TestMode(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*testing.T, *recorded)
		want   Mode
		err    string
	}{
		"enforcing":  {func(*testing.T, *recorded) {}, Enforcing, ""},
		"permissive": {func(t *testing.T, r *recorded) { r.file(t, "selinuxfs/enforce", "0") }, Permissive, ""},
		"odd":        {func(t *testing.T, r *recorded) { r.file(t, "selinuxfs/enforce", "2") }, "", `"2", expected 0 or 1`},
		"not mounted": {func(t *testing.T, r *recorded) { os.RemoveAll(r.selinuxfs) }, "",
			"SELinux is enabled, but its file system is not mounted here"},
		"disabled": {func(t *testing.T, r *recorded) {
			os.RemoveAll(r.selinuxfs)
			r.file(t, "proc/filesystems", "nodev\tsysfs\n\text4\n")
		}, Disabled, ""},
		"no proc": {func(t *testing.T, r *recorded) { os.RemoveAll(r.dir) }, "", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecorded(t)
			c.change(t, r)
			got := r.mode()
			if got.Value != c.want || c.err == "" && got.Err != nil || c.err != "" && (got.Err == nil || !strings.Contains(got.Err.Error(), c.err)) {
				t.Errorf("%q (%v), want %q (%s)", got.Value, got.Err, c.want, c.err)
			}
		})
	}
}

func TestAccess(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		change func(*testing.T, *recorded)
		want   Access
		err    string
		holds  [2]bool // with deny_unknown 0 and 1
	}{
		"allowed":         {answer: "1f ffffffff 0 ffffffff 12 0", want: Access{ClassKnown: true}, holds: [2]bool{true, true}},
		"denied":          {answer: "0 ffffffff 0 ffffffff 12 0", want: Access{ClassKnown: true, Denied: BPFNeed.Permissions}},
		"one denied":      {answer: "17 ffffffff 0 ffffffff 12 0", want: Access{ClassKnown: true, Denied: []string{"prog_load"}}},
		"permissive":      {answer: "0 ffffffff 0 ffffffff 12 1", want: Access{ClassKnown: true, Denied: BPFNeed.Permissions, PermissiveDomain: true}},
		"no flags":        {answer: "1f ffffffff 0 ffffffff 12", want: Access{ClassKnown: true}, holds: [2]bool{true, true}},
		"short":           {answer: "1f ffffffff", err: "2 fields"},
		"not hex":         {answer: "yes ffffffff 0 ffffffff 12 0", err: "field 1"},
		"no such context": {err: "invalid argument"},
		"permission unknown": {answer: "1f ffffffff 0 ffffffff 12 0", change: func(t *testing.T, r *recorded) {
			os.Remove(filepath.Join(r.selinuxfs, "class/bpf/perms/prog_run"))
		}, want: Access{ClassKnown: true, Missing: []string{"prog_run"}}, holds: [2]bool{true, false}},
		"class unknown": {change: func(t *testing.T, r *recorded) {
			os.RemoveAll(filepath.Join(r.selinuxfs, "class/bpf"))
			r.answers["access "+serviceContext+" "+serviceContext+" 2"] = "ffffffff ffffffff 0 ffffffff 12 0"
		}, want: Access{Missing: BPFNeed.Permissions}, holds: [2]bool{true, false}},
		"class unknown, permissive domain": {change: func(t *testing.T, r *recorded) {
			os.RemoveAll(filepath.Join(r.selinuxfs, "class/bpf"))
			r.answers["access "+serviceContext+" "+serviceContext+" 2"] = "ffffffff ffffffff 0 ffffffff 12 1"
		}, want: Access{Missing: BPFNeed.Permissions, PermissiveDomain: true}, holds: [2]bool{true, false}},
		"bad index": {answer: "1f ffffffff 0 ffffffff 12 0", change: func(t *testing.T, r *recorded) {
			r.file(t, "selinuxfs/class/bpf/index", "many")
		}, err: "expected a number"},
		"bad permission": {answer: "1f ffffffff 0 ffffffff 12 0", change: func(t *testing.T, r *recorded) {
			r.file(t, "selinuxfs/class/bpf/perms/prog_run", "33")
		}, err: "expected a number"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecorded(t)
			if c.answer != "" {
				r.answer(c.answer)
			}
			if c.change != nil {
				c.change(t, r)
			}
			got := r.access(serviceContext, BPFNeed)
			if c.err != "" {
				if got.Err == nil || !strings.Contains(got.Err.Error(), c.err) {
					t.Errorf("error %v, want %q", got.Err, c.err)
				}
				return
			}
			c.want.Need = BPFNeed
			if diff := cmp.Diff(c.want, got.Value); diff != "" || got.Err != nil {
				t.Errorf("%v (-want +got)\n%s", got.Err, diff)
			}
			if holds := [2]bool{got.Value.Holds(false), got.Value.Holds(true)}; holds != c.holds {
				t.Errorf("holds %v, want %v", holds, c.holds)
			}
		})
	}
}

// TestAccessNames proves that nothing but a context and names gets into the request.
func TestAccessNames(t *testing.T) {
	r := newRecorded(t)
	r.transact = func(file, request string) (string, error) { t.Errorf("asked %q", request); return "", nil }
	for _, context := range []string{"", "a", "a:b", "a:b:c d", "a:b:c:s0 x", "a:b:\n", "a::c:s0", strings.Repeat("a", 5000) + ":b:c"} {
		if got := r.access(context, BPFNeed); got.Err == nil {
			t.Errorf("context %q was asked about", context)
		}
	}
	if got := r.access(serviceContext, Need{"../process", []string{"x"}}); got.Err == nil {
		t.Error("a class that is a path was asked about")
	}
}

func (r *recorded) process(t *testing.T, pid int, exe, context string) {
	dir := filepath.Join(r.proc, fmt.Sprint(pid))
	write(t, filepath.Join(dir, "attr/current"), context+"\x00")
	if err := os.Symlink(exe, filepath.Join(dir, "exe")); err != nil {
		t.Fatal(err)
	}
}

func TestFindDomain(t *testing.T) {
	const unit, binary = "cisco-amp.service", "/opt/cisco/amp/bin/ampdaemon"
	created := "create system_u:system_r:init_t:s0 system_u:object_r:bin_t:s0 2"
	for name, c := range map[string]struct {
		change func(*testing.T, *recorded, string)
		want   domain
		err    string
	}{
		"control group": {func(t *testing.T, r *recorded, _ string) {
			r.process(t, 90, "/usr/bin/other", "system_u:system_r:other_t:s0")
			r.process(t, 300, binary, "system_u:system_r:wrong_t:s0")
			r.process(t, 1200, binary, serviceContext)
			r.file(t, "cgroup/system.slice/cisco-amp.service/cgroup.procs", "90\n1200\n")
		}, domain{serviceContext, "proc/1200/attr/current", true}, ""},
		"control group below": {func(t *testing.T, r *recorded, _ string) {
			r.process(t, 300, binary, "system_u:system_r:wrong_t:s0")
			r.process(t, 1200, binary, serviceContext)
			r.file(t, "cgroup/system.slice/cisco-amp.service/cgroup.procs", "")
			r.file(t, "cgroup/system.slice/cisco-amp.service/daemon/cgroup.procs", "1200\n")
		}, domain{serviceContext, "proc/1200/attr/current", true}, ""},
		"hybrid hierarchy, replaced program": {func(t *testing.T, r *recorded, _ string) {
			r.process(t, 1200, binary+" (deleted)", serviceContext)
			r.file(t, "cgroup/systemd/system.slice/cisco-amp.service/cgroup.procs", "1200\n")
		}, domain{serviceContext, "proc/1200/attr/current", true}, ""},
		"without systemd": {func(t *testing.T, r *recorded, _ string) {
			r.process(t, 77, binary, serviceContext)
		}, domain{serviceContext, "proc/77/attr/current", true}, ""},
		"drop-in": {func(t *testing.T, r *recorded, root string) {
			write(t, root+"/usr/lib/systemd/system/cisco-amp.service", "[Service]\nExecStart="+binary+"\n")
			write(t, root+"/etc/systemd/system/cisco-amp.service.d/10-selinux.conf", "[Service]\nSELinuxContext=-"+serviceContext+"\n")
		}, domain{serviceContext, "/etc/systemd/system/cisco-amp.service.d/10-selinux.conf", false}, ""},
		"kernel's transition": {func(t *testing.T, r *recorded, _ string) {
			r.answers[created] = serviceContext + "\x00"
		}, domain{serviceContext, "selinuxfs/create", false}, ""},
		"kernel refuses": {func(*testing.T, *recorded, string) {}, domain{}, "invalid argument"},
		"no label": {func(t *testing.T, r *recorded, _ string) {
			r.fileLabel = func(string) (string, error) { return "", errors.New("no data available") }
		}, domain{}, "label of /opt/cisco/amp/bin/ampdaemon"},
	} {
		t.Run(name, func(t *testing.T) {
			r, root := newRecorded(t), t.TempDir()
			r.process(t, 1, "/usr/lib/systemd/systemd", "system_u:system_r:init_t:s0")
			c.change(t, r, root)
			got, err := r.findDomain(host.At(root), Options{Unit: unit, Binary: binary})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			got.from = strings.TrimPrefix(got.from, r.dir+"/")
			got.context = strings.TrimRight(got.context, "\x00")
			if err != nil || got != c.want {
				t.Errorf("%+v (%v), want %+v", got, err, c.want)
			}
		})
	}
}

func TestAllows(t *testing.T) {
	r := newRecorded(t)
	r.answer("1f ffffffff 0 ffffffff 12 0")
	if ok, err := r.allows(serviceContext, []Need{BPFNeed}); !ok || err != nil {
		t.Errorf("allowed: %v, %v", ok, err)
	}
	r.answer("f ffffffff 0 ffffffff 12 0")
	if ok, err := r.allows(serviceContext, []Need{BPFNeed}); ok || err != nil {
		t.Errorf("denied: %v, %v", ok, err)
	}
	if ok, err := r.allows("system_u:system_r:nosuch_t:s0", []Need{BPFNeed}); ok || err == nil {
		t.Errorf("unknown domain: %v, %v", ok, err)
	}
	os.RemoveAll(r.selinuxfs)
	r.file(t, "proc/filesystems", "")
	if ok, err := r.allows(serviceContext, []Need{BPFNeed}); ok || !errors.Is(err, ErrDisabled) {
		t.Errorf("disabled: %v, %v", ok, err)
	}
}

// A policy without levels is asked without one.
func TestServiceContext(t *testing.T) {
	r := newRecorded(t)
	for mls, want := range map[string]string{"1": "system_u:system_r:unconfined_service_t:s0", "0": "system_u:system_r:unconfined_service_t"} {
		r.file(t, "selinuxfs/mls", mls)
		if got := r.serviceContext("unconfined_service_t"); got != want {
			t.Errorf("mls %s: %s, want %s", mls, got, want)
		}
		if typ, err := typeOf(want); err != nil || typ != "unconfined_service_t" {
			t.Errorf("type of %s: %q, %v", want, typ, err)
		}
	}
}

func TestFactsHolds(t *testing.T) {
	yes := host.Read(Access{ClassKnown: true}, "")
	no := host.Read(Access{ClassKnown: true, Denied: []string{"x"}}, "")
	unknownClass := host.Read(Access{Missing: []string{"x"}}, "")
	dontKnow := host.NotKnown[Access]("", errors.New("x"))
	allow, deny, noIdea := host.Read(false, ""), host.Read(true, ""), host.NotKnown[bool]("", errors.New("x"))
	for i, c := range []struct {
		access       []host.Reading[Access]
		denyUnknown  host.Reading[bool]
		holds, known bool
	}{
		{nil, allow, false, false},
		{[]host.Reading[Access]{yes, yes}, allow, true, true},
		{[]host.Reading[Access]{yes, no}, allow, false, true},
		{[]host.Reading[Access]{dontKnow, no}, allow, false, true},
		{[]host.Reading[Access]{dontKnow, yes}, allow, false, false},
		{[]host.Reading[Access]{unknownClass}, allow, true, true},
		{[]host.Reading[Access]{unknownClass}, deny, false, true},
		{[]host.Reading[Access]{unknownClass}, noIdea, false, false},
		{[]host.Reading[Access]{yes}, noIdea, true, true},
	} {
		f := Facts{Access: c.access, DenyUnknown: c.denyUnknown}
		if holds, known := f.Holds(); holds != c.holds || known != c.known {
			t.Errorf("%d: holds %v, known %v; want %v, %v", i, holds, known, c.holds, c.known)
		}
	}
}

func FuzzDecision(f *testing.F) {
	for _, s := range []string{"1f ffffffff 0 ffffffff 12 0", "", "0 0 0 0 0", "ffffffffff 0 0 0 0 1", "-1 0 0 0 0 0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := parseDecision(s); err != nil && d.flags != 0 && d.allowed == 0 && len(strings.Fields(s)) < 5 {
			t.Errorf("%q: %+v with an error", s, d)
		}
	})
}

func FuzzContext(f *testing.F) {
	for _, s := range []string{serviceContext, "kernel", "a:b:c", "a:b:c:s0-s15:c0.c1023", ":::", "a:b:c\n:s0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		typ, err := typeOf(s)
		if err == nil && (!validName(typ) || slices.ContainsFunc([]byte(s), func(c byte) bool { return c <= ' ' })) {
			t.Errorf("%q: type %q", s, typ)
		}
	})
}
