package selinux

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/host"
)

// TestRefusal asks recorded kernels what they refuse the very process that asks.
func TestRefusal(t *testing.T) {
	const own = "system_u:system_r:own_t:s0"
	asked := "access " + own + " " + own + " 92"
	for name, c := range map[string]struct {
		change func(*testing.T, *recorded)
		want   string // part of the error, "" if there is none
	}{
		"allowed":        {func(*testing.T, *recorded) {}, ""},
		"denied":         {func(_ *testing.T, r *recorded) { r.answers[asked] = "0 ffffffff 0 ffffffff 12 0" }, "map_create map_read map_write prog_load prog_run of class bpf"},
		"one denied":     {func(_ *testing.T, r *recorded) { r.answers[asked] = "17 ffffffff 0 ffffffff 12 0" }, "own_t:s0 has no right to prog_load of class bpf"},
		"permissive":     {func(t *testing.T, r *recorded) { r.answers[asked] = "0 0 0 0 1 0"; r.file(t, "selinuxfs/enforce", "0") }, ""},
		"permissive own": {func(_ *testing.T, r *recorded) { r.answers[asked] = "0 ffffffff 0 ffffffff 12 1" }, ""},
		"the service is denied, this process is not": {func(t *testing.T, r *recorded) {
			r.process(t, 1200, ours.Binary, serviceContext)
			r.answer("0 ffffffff 0 ffffffff 12 0")
		}, ""},
		"the service is allowed, this process is not": {func(t *testing.T, r *recorded) {
			r.process(t, 1200, ours.Binary, serviceContext)
			r.answer("1f ffffffff 0 ffffffff 12 0")
			r.answers[asked] = "0 ffffffff 0 ffffffff 12 0"
		}, "own_t"},
		"no answer":      {func(_ *testing.T, r *recorded) { delete(r.answers, asked) }, ""},
		"mode not known": {func(t *testing.T, r *recorded) { r.answers[asked] = "0 0 0 0 1 0"; r.file(t, "selinuxfs/enforce", "x") }, ""},
		"own domain not known": {func(t *testing.T, r *recorded) {
			r.answers[asked] = "0 0 0 0 1 0"
			must(t, os.Remove(filepath.Join(r.proc, "self/attr/current")))
		}, ""},
		"class unknown":         {func(t *testing.T, r *recorded) { withoutBPFClass(t, r, own) }, ""},
		"class unknown, denied": {func(t *testing.T, r *recorded) { withoutBPFClass(t, r, own); r.file(t, "selinuxfs/deny_unknown", "1") }, "map_create"},
		"permission unknown, one denied": {func(t *testing.T, r *recorded) {
			r.answers[asked] = "17 ffffffff 0 ffffffff 12 0"
			r.file(t, "selinuxfs/deny_unknown", "1")
			must(t, os.Remove(filepath.Join(r.selinuxfs, "class/bpf/perms/prog_run")))
		}, "prog_load prog_run of class bpf"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecorded(t)
			r.file(t, "proc/self/attr/current", own+"\x00")
			r.answers[asked] = "1f ffffffff 0 ffffffff 12 0"
			c.change(t, r)
			f := Facts{Needs: ours.Needs}
			r.gatherLive(host.At("/"), ours, &f)
			err := f.Refusal()
			if (err != nil) != (c.want != "") || err != nil && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func withoutBPFClass(t *testing.T, r *recorded, context string) {
	must(t, os.RemoveAll(filepath.Join(r.selinuxfs, "class/bpf")))
	r.answers["access "+context+" "+context+" 2"] = "ffffffff ffffffff 0 ffffffff 12 0"
}

func TestRefusalWithoutSELinux(t *testing.T) {
	r := newRecorded(t)
	must(t, os.RemoveAll(r.selinuxfs))
	r.file(t, "proc/filesystems", "nodev\tsysfs\n")
	f := Facts{Needs: ours.Needs}
	r.gatherLive(host.At("/"), ours, &f)
	if err := f.Refusal(); err != nil || len(f.Own) != 0 {
		t.Errorf("%v, %d answers", err, len(f.Own))
	}
}

// TestModuleRefusal asks recorded kernels whether this process may load a module out of a file.
func TestModuleRefusal(t *testing.T) {
	const own, label, file = "system_u:system_r:own_t:s0", "system_u:object_r:usr_t:s0", "/opt/x.ko"
	for name, c := range map[string]struct {
		change func(*testing.T, *recorded)
		want   string // part of the error, "" if there is none
	}{
		"allowed": {func(*testing.T, *recorded) {}, ""},
		"denied": {func(_ *testing.T, r *recorded) {
			r.answers["access "+own+" "+label+" 3"] = "1f ffffffff 0 ffffffff 12 0"
		}, own + " has no right to module_load of class system to " + file + ", which is " + label},
		"permissive": {func(t *testing.T, r *recorded) {
			r.answers["access "+own+" "+label+" 3"] = "0 0 0 0 1 0"
			r.file(t, "selinuxfs/enforce", "0")
		}, ""},
		"the capability": {func(_ *testing.T, r *recorded) { r.answers["access "+own+" "+own+" 4"] = "0 ffffffff 0 ffffffff 12 0" }, own + " has no right to sys_module of class capability"},
		"permissive domain": {func(_ *testing.T, r *recorded) {
			r.answers["access "+own+" "+label+" 3"] = "0 ffffffff 0 ffffffff 12 1"
		}, ""},
		"a policy before the permission": {func(t *testing.T, r *recorded) {
			r.answers["access "+own+" "+label+" 3"] = "0 ffffffff 0 ffffffff 12 0"
			must(t, os.Remove(filepath.Join(r.selinuxfs, "class/system/perms/module_load")))
		}, ""},
		"no answer": {func(_ *testing.T, r *recorded) { clear(r.answers) }, ""},
		"no label": {func(_ *testing.T, r *recorded) {
			r.fileLabel = func(string) (string, error) { return "", os.ErrNotExist }
		}, ""},
		"own domain not known": {func(t *testing.T, r *recorded) {
			r.answers["access "+own+" "+label+" 3"] = "0 ffffffff 0 ffffffff 12 0"
			must(t, os.Remove(filepath.Join(r.proc, "self/attr/current")))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecorded(t)
			r.file(t, "proc/self/attr/current", own+"\x00")
			r.file(t, "selinuxfs/class/system/index", "3")
			r.file(t, "selinuxfs/class/system/perms/module_load", "6")
			r.file(t, "selinuxfs/class/capability/index", "4")
			r.file(t, "selinuxfs/class/capability/perms/sys_module", "17")
			r.fileLabel = func(string) (string, error) { return label, nil }
			r.answers["access "+own+" "+own+" 4"] = "ffffffff ffffffff 0 ffffffff 12 0"
			r.answers["access "+own+" "+label+" 3"] = "3f ffffffff 0 ffffffff 12 0"
			c.change(t, r)
			err := r.moduleRefusal(file)
			if (err != nil) != (c.want != "") || err != nil && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
