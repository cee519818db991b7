package selinux

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

const allowed = "allow unconfined_service_t unconfined_service_t:bpf"

func TestInstallDisableEnableRemove(t *testing.T) {
	r, s := scratchStore(t)
	ctx := t.Context()
	expect := func(what string, want StoreState, inPolicy bool) {
		t.Helper()
		got, err := ReadStore(r, "", Packaged)
		if err != nil || got.State != want {
			t.Fatalf("%s: state %q (%v), want %q", what, got.State, err, want)
		}
		if !got.Built.Known() || !got.Built.Value {
			t.Fatalf("%s: the policy file is not the store's: %+v", what, got.Built)
		}
		if has := strings.Contains(rules(t, r), allowed); has != inPolicy {
			t.Fatalf("%s: rule in the policy: %v, want %v", what, has, inPolicy)
		}
	}
	expect("at first", ModuleAbsent, false)
	must(t, Install(ctx, r, "", Packaged, wait))
	expect("installed", ModulePresent, true)
	must(t, s.apply(ctx, semodulePath(t), Change{Disable: []string{ModuleName}}, wait))
	expect("disabled", ModuleDisabled, false)
	must(t, Enable(ctx, r, "", wait))
	expect("enabled", ModulePresent, true)
	must(t, s.apply(ctx, semodulePath(t), Change{Disable: []string{ModuleName}}, wait))
	must(t, Install(ctx, r, "", Packaged, wait))
	expect("installed over a disabled one", ModulePresent, true)
	must(t, Remove(ctx, r, "", wait))
	expect("removed", ModuleAbsent, false)
	before := listing(t, r)
	must(t, Remove(ctx, r, "", wait))
	must(t, Enable(ctx, r, "", wait))
	if after := listing(t, r); after != before {
		t.Errorf("a second Remove touched the store:\n%s\n%s", before, after)
	}
}

func TestOutdatedAndForeignModules(t *testing.T) {
	r, s := scratchStore(t)
	other := "(optional other (allow unconfined_service_t self (bpf (map_read))))\n"
	must(t, Apply(t.Context(), r, "", Change{Install: []Module{{ModuleName, Priority, "cil", []byte(other)}}}, wait))
	st, err := ReadStore(r, "", Packaged)
	if err != nil || st.State != ModulePresent || st.Current.Value {
		t.Fatalf("outdated: %+v (%v)", st, err)
	}
	must(t, Install(t.Context(), r, "", Packaged, wait))
	if st, err = ReadStore(r, "", Packaged); err != nil || !st.Current.Value || st.Shadow != 0 {
		t.Fatalf("replaced: %+v (%v)", st, err)
	}
	must(t, s.apply(t.Context(), semodulePath(t), Change{Install: []Module{{ModuleName, 600, "cil", []byte(other)}}}, wait))
	if st, err = ReadStore(r, "", Packaged); err != nil || st.State != ModuleShadowed || st.Shadow != 600 || st.Priority != Priority {
		t.Fatalf("shadowed: %+v (%v)", st, err)
	}
	// The rule by the other name works beside the admin's module, which stays.
	must(t, Apply(t.Context(), r, "", Change{Install: []Module{{BesideName, Priority, "cil", []byte(Packaged)}}}, wait))
	if st, err = ReadStore(r, "", Packaged); err != nil || !st.Beside {
		t.Fatalf("beside: %+v (%v)", st, err)
	}
	if got := rules(t, r); !strings.Contains(got, "map_create") {
		t.Errorf("the rule is not in the policy:\n%s", got)
	}
	must(t, Remove(t.Context(), r, "", wait))
	if st, err = ReadStore(r, "", Packaged); err != nil || st.Beside || len(st.Entries) != 1 || st.Entries[0].Priority != 600 {
		t.Fatalf("removed: %+v (%v)", st, err)
	}
}

func TestRestore(t *testing.T) {
	foreign := Module{ModuleName, Priority, "cil", []byte("(optional other (allow initrc_t self (bpf (map_read))))\n")}
	for name, before := range map[string]Change{
		"absent":           {},
		"another":          {Install: []Module{foreign}},
		"another disabled": {Install: []Module{foreign}, Disable: []string{ModuleName}},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := scratchStore(t)
			if !before.empty() {
				must(t, s.apply(t.Context(), semodulePath(t), before, wait))
			}
			saved, err := Save(t.Context(), r, "", ModuleName, wait)
			must(t, err)
			policy := rules(t, r)
			must(t, Apply(t.Context(), r, "", saved.Towards(Module{ModuleName, Priority, "cil", []byte(Packaged)}), wait))
			if !strings.Contains(rules(t, r), allowed) {
				t.Fatal("the rule is not in the policy")
			}
			must(t, Restore(t.Context(), r, "", saved, wait))
			again, err := Save(t.Context(), r, "", ModuleName, wait)
			must(t, err)
			if fmt.Sprint(again) != fmt.Sprint(saved) {
				t.Errorf("restored %+v, want %+v", again, saved)
			}
			if got := rules(t, r); got != policy {
				t.Errorf("policy\n%s\nwant\n%s", got, policy)
			}
			commits := listing(t, r)
			must(t, Restore(t.Context(), r, "", saved, wait))
			if listing(t, r) != commits {
				t.Error("a second Restore rebuilt the policy")
			}
		})
	}
}

// TestRestorePackage puts back a module that was compiled from .te, as the vendor's is.
func TestRestorePackage(t *testing.T) {
	r, _ := scratchStore(t)
	for _, tool := range []string{"checkmodule", "semodule_package"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing", tool)
		}
	}
	dir := t.TempDir()
	te := "module cisco-secure-bpf 1.0;\nrequire { type unconfined_service_t; class bpf map_read; }\nallow unconfined_service_t self:bpf map_read;\n"
	write(t, filepath.Join(dir, "x.te"), te)
	mod, pp := filepath.Join(dir, "cisco-secure-bpf.mod"), filepath.Join(dir, "cisco-secure-bpf.pp")
	run(t, "checkmodule", "-M", "-m", "-o", mod, filepath.Join(dir, "x.te"))
	run(t, "semodule_package", "-o", pp, "-m", mod)
	run(t, semodulePath(t), "-p", r.Dir(), "-s", "default", "-n", "-i", pp)
	saved, err := Save(t.Context(), r, "", ModuleName, wait)
	must(t, err)
	if saved.Language != "pp" {
		t.Fatalf("language %q, want pp", saved.Language)
	}
	policy := rules(t, r)
	must(t, Install(t.Context(), r, "", Packaged, wait))
	must(t, Restore(t.Context(), r, "", saved, wait))
	if got := rules(t, r); got != policy {
		t.Errorf("policy\n%s\nwant\n%s", got, policy)
	}
}

func TestWaitsForLock(t *testing.T) {
	r, s := scratchStore(t)
	for _, name := range lockNames {
		t.Run(name, func(t *testing.T) {
			file, err := r.Path(filepath.Join(s.dir, name))
			must(t, err)
			f, err := os.Open(file)
			must(t, err)
			must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
			err = Install(t.Context(), r, "", Packaged, 300*time.Millisecond)
			if !errors.Is(err, ErrStoreLocked) || !strings.Contains(err.Error(), fmt.Sprintf("(process %d)", os.Getpid())) {
				t.Errorf("locked: %v, want ErrStoreLocked by this process", err)
			}
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := Install(ended, r, "", Packaged, wait); !errors.Is(err, context.Canceled) {
				t.Errorf("ended: %v", err)
			}
			done := make(chan error)
			go func() { done <- Install(t.Context(), r, "", Packaged, wait) }()
			select {
			case err := <-done:
				t.Errorf("did not wait: %v", err)
			case <-time.After(200 * time.Millisecond):
			}
			f.Close()
			must(t, <-done)
			must(t, Remove(t.Context(), r, "", wait))
		})
	}
}

// TestLockTakenInBetween has the lock taken when semodule asks for it, by a stand-in that says what semodule says then.
func TestLockTakenInBetween(t *testing.T) {
	r, s := scratchStore(t)
	dir := t.TempDir()
	tool := filepath.Join(dir, "semodule")
	write(t, tool, "#!/bin/sh\n[ -e "+dir+"/second ] && exec "+semodulePath(t)+" \"$@\"\ntouch "+dir+"/second\n"+
		"echo 'libsemanage.semanage_get_lock: Could not get direct transaction lock at /x/semanage.trans.LOCK. (Resource temporarily unavailable).' >&2\nexit 1\n")
	must(t, os.Chmod(tool, 0o755))
	must(t, s.apply(t.Context(), tool, Change{Install: []Module{{ModuleName, Priority, "cil", []byte(Packaged)}}}, wait))
	if !strings.Contains(rules(t, r), allowed) {
		t.Error("not tried again")
	}
}

// TestKilledChange kills semodule at many moments and proves that the next change finds a whole store.
func TestKilledChange(t *testing.T) {
	r, s := scratchStore(t)
	saved, err := Save(t.Context(), r, "", ModuleName, wait)
	must(t, err)
	file := filepath.Join(t.TempDir(), ModuleName+".cil")
	write(t, file, Packaged)
	step := 1
	if testing.Short() {
		step = 8
	}
	for i := 0; i < 40; i += step {
		cmd := exec.Command(semodulePath(t), append(s.where(), "-X", "400", "-i", file)...)
		must(t, cmd.Start())
		time.Sleep(time.Duration(i) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		must(t, Restore(t.Context(), r, "", saved, wait))
		st, err := ReadStore(r, "", Packaged)
		must(t, err)
		if st.State != ModuleAbsent || !st.Built.Value {
			t.Fatalf("killed after %d ms: %+v", i, st)
		}
		if got := rules(t, r); !strings.Contains(got, "kernel_t") || strings.Contains(got, allowed) {
			t.Fatalf("killed after %d ms: policy\n%s", i, got)
		}
	}
}

// TestRepair starts from what a kill between libsemanage's renames leaves, alone and after somebody else has run semodule on it.
func TestRepair(t *testing.T) {
	for name, meanwhile := range map[string][]string{"alone": nil, "another semodule": {"-B"}} {
		t.Run(name, func(t *testing.T) {
			r, s := scratchStore(t)
			must(t, Install(t.Context(), r, "", Packaged, wait))
			dir, err := r.Path(s.dir)
			must(t, err)
			must(t, os.Rename(filepath.Join(dir, "active"), filepath.Join(dir, "previous")))
			if meanwhile != nil {
				run(t, semodulePath(t), append(s.where(), meanwhile...)...)
			}
			write(t, filepath.Join(dir, "tmp/modules/400/half"), "half")
			st, err := ReadStore(r, "", Packaged)
			if err != nil || st.State != ModulePresent || st.Built.Value {
				t.Fatalf("broken store: %+v (%v), want the module of before, not built", st, err)
			}
			other := Module{BesideName, Priority, "cil", []byte(Packaged)}
			must(t, Apply(t.Context(), r, "", Change{Install: []Module{other}}, wait))
			st, err = ReadStore(r, "", Packaged)
			if err != nil || st.State != ModulePresent || !st.Built.Value || !st.Beside || st.Path != s.modules() {
				t.Errorf("after repair: %+v (%v)", st, err)
			}
			if got := rules(t, r); !strings.Contains(got, allowed) || !strings.Contains(got, "kernel_t") {
				t.Errorf("policy after repair:\n%s", got)
			}
			if _, err := os.Stat(filepath.Join(dir, "tmp")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("tmp is left: %v", err)
			}
		})
	}
}

func TestApplyErrors(t *testing.T) {
	r, _ := scratchStore(t)
	err := Apply(t.Context(), r, "", Change{Install: []Module{{ModuleName, Priority, "cil", []byte("(allow")}}}, wait)
	if err == nil || !strings.Contains(err.Error(), "semodule -p") || strings.Contains(err.Error(), "Failed!") {
		t.Errorf("bad module: %v", err)
	}
	if err := Apply(t.Context(), r, "nosuch", Change{Rebuild: true}, wait); !HasNoStore(err) {
		t.Errorf("no store: %v", err)
	}
	if err := Apply(t.Context(), r, "../default", Change{Rebuild: true}, wait); err == nil {
		t.Error("a policy type that is a path was taken")
	}
	if err := Apply(t.Context(), r, "", Change{Install: []Module{{"../x", Priority, "cil", nil}}}, wait); err == nil {
		t.Error("a module name that is a path was taken")
	}
}

func TestArgs(t *testing.T) {
	c := Change{
		Install: []Module{{ModuleName, 400, "cil", nil}}, Enable: []string{"a"}, Disable: []string{"b"},
		Remove: []Placed{{"c", 500}}, Rebuild: true,
	}
	got := strings.Join(c.Args(func(m Module) string { return m.Name + "." + m.Language }), " ")
	if want := "-X 400 -i cisco-secure-bpf.cil -e a -d b -X 500 -r c"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func semodulePath(t testing.TB) string {
	t.Helper()
	tool, ok := host.FindTool(host.At("/"), "semodule")
	if !ok {
		t.Skip("semodule is missing (package policycoreutils)")
	}
	return tool
}

// listing is the store's files with their times: it changes with every transaction.
func listing(t testing.TB, r host.Root) string {
	return run(t, "find", filepath.Join(r.Dir(), "var/lib/selinux/default/active"), "-printf", "%p %T@\n")
}
