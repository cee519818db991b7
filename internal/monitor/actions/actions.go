// Package actions is for tests of event sources: a script of actions, the same for all of them. A child does something, and says by itself which
// events should come of it; what a source does not tell is in its table of blind spots, and nowhere else.
package actions

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/monitor"
)

// What a child is to do, and in which folder it makes itself a container before.
const (
	actionEnv    = "AMP_TEST_ACTION"
	containerEnv = "AMP_TEST_CONTAINER"
)

// Action does something and reports it.
type Action = func(*Report) error

// Report is what an action says of itself.
type Report struct {
	Skip   string          // what was missing
	Error  string          // what went wrong
	Events []monitor.Event // as they should be seen; without process and time
	Other  string          // a pid and the like
}

// Files are the names of the actions on files.
func Files() []string { return slices.Sorted(maps.Keys(files())) }

// Network are the names of the actions on sockets.
func Network() []string { return slices.Sorted(maps.Keys(network())) }

// Asked does what this process was started for by Do, if it was, and ends it then. TestMain calls it, with the actions that its tests have beside those
// of this package.
func Asked(more ...map[string]Action) {
	name := os.Getenv(actionEnv)
	if name == "" {
		return
	}
	runtime.LockOSThread() // actions change what is a thread's: its root, its mounts, its processor
	var r Report
	err := enterContainer(os.Getenv(containerEnv))
	if err == nil {
		err = find(name, append(more, files(), network(), filtered()))(&r)
	}
	if err != nil {
		r.Error = err.Error()
	}
	json.NewEncoder(os.Stdout).Encode(r)
	os.Exit(0)
}

func find(name string, all []map[string]Action) Action {
	for _, some := range all {
		if a := some[name]; a != nil {
			return a
		}
	}
	return func(*Report) error { return fmt.Errorf("there is no action %q", name) }
}

// Environment is this process's, with an action to do for a child; "" is none.
func Environment(action string) []string {
	env := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, actionEnv+"=") })
	if action == "" {
		return env
	}
	return append(env, actionEnv+"="+action)
}

// Do has a child, the test program, do an action, in a way that may be set. It skips the test where the child lacked something.
func Do(t *testing.T, program, action string, set ...func(*exec.Cmd)) (pid int, r Report) {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Env = Environment(action)
	for _, f := range set {
		f(cmd)
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		t.Fatalf("action %s: %v: %s", action, err, out)
	}
	if r.Error != "" {
		t.Fatalf("action %s: %s", action, r.Error)
	}
	if r.Skip != "" {
		t.Skip(r.Skip)
	}
	return cmd.Process.Pid, r
}
