package bpf

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/monitor/actions"
	"github.com/ampconnector/amp/internal/policy"
)

// seen runs an action with settings and returns how many events of each kind came of it.
func (w *watch) seen(t *testing.T, action string, s monitor.Settings) map[monitor.Kind]int {
	t.Helper()
	if err := w.Set(s); err != nil {
		t.Fatal(err)
	}
	pid, _ := actions.Do(t, program, action)
	marker := newCommand(nil).cmd("exit") // all that came before it is there
	if err := marker.Start(); err != nil {
		t.Fatal(err)
	}
	marker.Wait()
	w.sync(t)
	n := map[monitor.Kind]int{}
	for _, e := range w.Of(pid) {
		n[e.Kind]++
	}
	return n
}

// sync waits until all that is in the ring now has been handled.
func (w *watch) sync(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); w.backlog() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are still in the ring", w.backlog())
		}
	}
}

func TestExclusions(t *testing.T) {
	needsRoot(t)
	inEachSet(t, func(t *testing.T, w *watch) {
		dir := filepath.Join(t.TempDir(), "excluded")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TMPDIR", dir)
		kinds := allKinds
		all := w.seen(t, "file-names", monitor.Settings{Kinds: kinds})
		if all[monitor.FileRename] != 3 || all[monitor.FileCreate] == 0 {
			t.Fatalf("without exclusions: %v", all)
		}
		for _, tt := range []struct {
			name string
			x    policy.Exclusions
			want int
		}{
			{"path", policy.Exclusions{Paths: []string{dir + "/"}}, 0},
			{"path above", policy.Exclusions{Paths: []string{filepath.Dir(dir) + "/", "/nowhere/"}}, 0},
			{"path beside", policy.Exclusions{Paths: []string{dir + "2/", dir[:len(dir)-1] + "/"}}, 3},
			{"file that is a directory", policy.Exclusions{Paths: []string{dir}}, 3},
			{"process", policy.Exclusions{Processes: []policy.ProcessExclusion{{Path: program}}}, 0},
			{"process elsewhere", policy.Exclusions{Processes: []policy.ProcessExclusion{{Path: "/bin/true"}, {Path: "/none"}}}, 3},
			{"children", policy.Exclusions{Processes: []policy.ProcessExclusion{{Path: self(t), Children: true}}}, 0},
			{"process, not its children", policy.Exclusions{Processes: []policy.ProcessExclusion{{Path: self(t)}}}, 3},
			{"user", policy.Exclusions{Users: []uint32{uint32(os.Getuid())}}, 0},
			{"user elsewhere", policy.Exclusions{Users: []uint32{nobody}}, 3},
			{"kind", policy.Exclusions{Kinds: []string{"rename"}}, 0},
			{"none again", policy.Exclusions{}, 3},
		} {
			t.Run(tt.name, func(t *testing.T) {
				before, _ := w.Counts()
				got := w.seen(t, "file-names", monitor.Settings{Kinds: kinds, Exclusions: tt.x})
				after, err := w.Counts()
				if err != nil || got[monitor.FileRename] != tt.want {
					t.Errorf("saw %v, expected %d renames (error %v)", got, tt.want, err)
				}
				excluded := after.Kinds[monitor.FileRename].Excluded - before.Kinds[monitor.FileRename].Excluded
				if counted := tt.want == 0 && tt.x.Kinds == nil; counted && excluded < 3 {
					t.Errorf("%d renames were counted as excluded, expected 3 or more", excluded)
				}
			})
		}
		t.Run("another way to a path", func(t *testing.T) {
			got := w.seen(t, "filter-evade", monitor.Settings{Kinds: kinds, Exclusions: policy.Exclusions{Paths: []string{dir + "/"}}})
			if got[monitor.FileDelete] != 1 {
				t.Errorf("saw %v, expected a delete", got)
			}
		})
	})
}

func self(t *testing.T) string {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Children that run already when their parent is excluded are left out too, and those that were made by them since.
func TestExcludeRunningChildren(t *testing.T) {
	needsRoot(t)
	w := startWatch(t, options{})
	shell := exec.Command("sh", "-c", "read x; "+program+"; true")
	shell.Env = append(os.Environ(), childEnv+"=exit")
	in, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	w.Wait(t, shell.Process.Pid, 1)
	err = w.Set(monitor.Settings{Kinds: monitor.ProcessKinds, Exclusions: policy.Exclusions{Processes: []policy.ProcessExclusion{{Path: self(t), Children: true}}}})
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	shell.Wait()
	w.sync(t)
	for pid, events := range w.All() {
		for _, e := range events {
			if e.Kind == monitor.Exec && e.Process.PPID == uint32(shell.Process.Pid) || e.Kind == monitor.Exit && pid == uint32(shell.Process.Pid) {
				t.Errorf("saw %s of %d", e.Kind, pid)
			}
		}
	}
}

func TestDuplicatesAreMerged(t *testing.T) {
	inEachSet(t, func(t *testing.T, w *watch) {
		pid, r := actions.Do(t, program, "filter-repeat")
		w.Finished(t, pid, 0, 0)
		got := w.FileEvents(pid, r)
		if len(got) != len(r.Events) || got[len(got)-1].Merged != 10 {
			t.Errorf("saw %+v, expected %+v", got, r.Events)
		}
	})
}

// While monitoring is reduced only what happens in the system's directories is seen of files.
func TestReduced(t *testing.T) {
	needsRoot(t)
	inEachSet(t, func(t *testing.T, w *watch) {
		s := monitor.Settings{Kinds: allKinds, Reduced: true}
		t.Setenv("TMPDIR", t.TempDir())
		before, err := w.Counts()
		if err != nil {
			t.Fatal(err)
		}
		got := w.seen(t, "file-names", s)
		if got[monitor.Exec] != 1 || got[monitor.Exit] != 0 || got[monitor.FileRename] != 0 || got[monitor.FileWrite] != 0 {
			t.Errorf("saw %v, expected the exec only", got)
		}
		after, err := w.Counts()
		if err != nil {
			t.Fatal(err)
		}
		shed := func(k monitor.Kind) uint64 { return after.Kinds[k].Shed - before.Kinds[k].Shed }
		if shed(monitor.FileRename) < 3 || shed(monitor.Exit) == 0 {
			t.Errorf("counted %+v, before %+v", after, before)
		}
		system, err := os.MkdirTemp("/root", "amp-bpf-")
		if err != nil {
			t.Skipf("needs a directory in /root: %v", err)
		}
		defer os.RemoveAll(system)
		t.Setenv("TMPDIR", system)
		if got := w.seen(t, "file-names", s); got[monitor.FileRename] != 3 || got[monitor.FileWrite] != 1 {
			t.Errorf("below /root saw %v, expected 3 renames and a write", got)
		}
	})
}

// A generator that knows what it made, a small ring, and a reader that starts late: each event is handled or counted, and none twice.
func TestCountsAddUp(t *testing.T) {
	needsRoot(t)
	needsBPF(t)
	for _, set := range []hookSet{fentrySet, kprobeSet, tracepointSet} {
		t.Run(set.String(), func(t *testing.T) {
			needsHooks(t, set)
			s, err := open(t.Context(), processes, options{name: monitor.EBPFKernelBTF, ring: 64 << 10, hooks: set})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Set(monitor.Settings{Kinds: monitor.FileKinds}); err != nil {
				t.Fatal(err)
			}
			pid, _ := actions.Do(t, program, "filter-many")
			if err := s.Set(monitor.Settings{}); err != nil { // no more events: the counts hold still
				t.Fatal(err)
			}
			if err := s.Run(cancelled(), actions.NewWatch(s).Keep); err != nil {
				t.Fatal(err)
			}
			counts, err := s.Counts()
			if err != nil {
				t.Fatal(err)
			}
			active, err := s.Activity()
			if err != nil {
				t.Fatal(err)
			}
			var produced monitor.Counts // in Handled
			for _, a := range active {
				for k, n := range a.Kinds {
					produced.Kinds[k].Handled += n
				}
				if a.PID == uint32(pid) {
					for _, k := range []monitor.Kind{monitor.FileCreate, monitor.FileWrite, monitor.FileDelete} {
						if n := a.Kinds[k]; n < actions.ManyCreated || n > actions.ManyCreated+10 {
							t.Errorf("%d events %s of the generator, expected %d and a few", n, k, actions.ManyCreated)
						}
					}
				}
			}
			total := counts.Total()
			t.Logf("%+v", total)
			if total.Full+total.Shed == 0 || total.Handled == 0 {
				t.Errorf("expected some handled, and some shed or too many for the ring")
			}
			for k := range monitor.FileKinds.All {
				c := counts.Kinds[k]
				sum := c.Handled + c.Excluded + c.Merged + c.Shed + c.Full
				if want := produced.Kinds[k].Handled; sum != want {
					t.Errorf("%s: %+v are %d, the processes made %d", k, c, sum, want)
				}
			}
		})
	}
}

func TestActivity(t *testing.T) {
	needsRoot(t)
	w := startWatch(t, options{})
	err := w.Set(monitor.Settings{Kinds: monitor.KindsOf(monitor.Exec, monitor.Exit), Exclusions: policy.Exclusions{Processes: []policy.ProcessExclusion{{Path: program}}}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := newCommand(nil).cmd("exit")
	cmd.Run()
	all, err := w.Activity()
	if err != nil {
		t.Fatal(err)
	}
	exe, err := executableAt(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.PID == uint32(cmd.Process.Pid) {
			// Two threads that end at once may both be the last, and count their process's end (exits, duplicate.go).
			exits := a.Kinds[monitor.Exit]
			if a.Comm != "program" || a.Inode != exe.Inode || a.Device != statDevice(exe.Device) || a.StartBoot == 0 || a.Kinds[monitor.Exec] != 1 || exits < 1 || exits > 2 {
				t.Errorf("got %+v", a)
			}
			return
		}
	}
	t.Errorf("%d processes, and not %d", len(all), cmd.Process.Pid)
}
