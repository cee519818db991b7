package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// commands are what a script can call beside the commands of testscript.
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"waitfor":   waitfor,
		"exit":      exit,
		"atend":     atend,
		"within":    within,
		"snapshot":  snapshotCommand,
		"unchanged": unchangedCommand,
		"jsonpath":  jsonpath,
		"installed": installed,
		"watching":  watching,
		"scanning":  scanning,
	}
}

// pause is the time between two tries of waitfor. What scripts wait for shows in the output of programs, which nothing announces.
const pause = 300 * time.Millisecond

// waitfor DEADLINE COMMAND [ARG…] runs a command again and again until it succeeds (with !, until it fails). In place of a plain
// command, "sh TEXT" runs shell text. At the deadline the script fails with the last output.
func waitfor(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: waitfor DEADLINE COMMAND [ARG...]")
	}
	patience, err := time.ParseDuration(args[0])
	ts.Check(err)
	began := time.Now()
	for {
		out, code := runCommand(ts, args[1:])
		if (code == 0) != neg {
			fmt.Fprint(ts.Stdout(), out)
			ts.Logf("[after %s]", time.Since(began).Round(100*time.Millisecond))
			return
		}
		if time.Since(began) > patience {
			ts.Fatalf("not within %s; the last time exit status %d:\n%s", patience, code, out)
		}
		time.Sleep(pause)
	}
}

// exit CODE COMMAND [ARG…] runs a command that must end with the given exit status.
func exit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	out, code := runCommand(ts, args[1:])
	fmt.Fprint(ts.Stdout(), out)
	if code != want {
		ts.Fatalf("exit status %d, expected %d", code, want)
	}
}

// within DURATION COMMAND [ARG…] runs a command that must succeed in that time.
func within(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: within DURATION COMMAND [ARG...]")
	}
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	began := time.Now()
	out, code := runCommand(ts, args[1:])
	took := time.Since(began)
	fmt.Fprint(ts.Stdout(), out)
	if code != 0 || took > limit {
		ts.Fatalf("exit status %d after %s, expected 0 within %s", code, took.Round(time.Millisecond), limit)
	}
}

// atend COMMAND [ARG…] runs a command when the script is over, passed or failed; the last one first. It mends what the script damages.
func atend(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: atend COMMAND [ARG...]")
	}
	ts.Defer(func() {
		if out, code := runCommand(ts, args); code != 0 {
			ts.Logf("at the end: %q: exit status %d\n%s", args, code, out)
		}
	})
}

// commandPatience bounds one command, so that one that never ends is named, and not only missed when the time of the guest is over.
const commandPatience = 10 * time.Minute

// runCommand runs a program or, after "sh", shell text; standard output and error come as one text. One that does not end is status 127.
func runCommand(ts *testscript.TestScript, args []string) (string, int) {
	if args[0] == "sh" && len(args) == 2 {
		args = []string{"sh", "-c", args[1]}
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second // for what its children hold open
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = environment(ts)
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return string(out), 0
	case ctx.Err() != nil:
		return fmt.Sprintf("%s%q has not ended after %s\n", out, args, commandPatience), 127
	case errors.As(err, &ended):
		return string(out), ended.ExitCode()
	}
	return err.Error() + "\n", 127
}

// carried are the variables that programs get from a script.
var carried = []string{"PATH", "HOME", "TMPDIR", "LC_ALL", "DEBIAN_FRONTEND", "PAYLOAD", "PACKAGES", "GUEST", "WORK"}

// environment is the script's.
func environment(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range carried {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// bare is the snapshot of the guest as it was before the connector first came to it.
const bare = "bare"

// installed makes sure that the connector is installed and active, so that a script can also run alone. It does nothing where an
// earlier script has done so; where none has, it first takes the snapshot "bare".
func installed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: installed")
	}
	if _, code := runCommand(ts, []string{"systemctl", "is-active", "--quiet", "cisco-amp.service"}); code == 0 {
		return
	}
	if _, ok := taken[bare]; !ok {
		snapshotCommand(ts, false, []string{bare})
	}
	const text = `apt-get install -y --reinstall "$PACKAGES/amp-connector.deb" && systemctl start cisco-amp.service`
	if out, code := runCommand(ts, []string{"sh", text}); code != 0 {
		ts.Fatalf("install: exit status %d:\n%s", code, out)
	}
}

// watchingPatience bounds how long the connector may take, after any start or change of its source, until it sees events and scans files.
const watchingPatience = 240 * time.Second

// watching waits until the connector has seen its own canary: until then an event may be missed. Standard output is ampcli status.
func watching(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: watching")
	}
	waitfor(ts, false, []string{watchingPatience.String(), "sh", `ampcli status > "$WORK/.status"; cat "$WORK/.status"; grep -q "^Canary: *seen" "$WORK/.status"`})
}

// scanning waits until the connector sees events and its scan service is ready. Standard output is ampcli status.
func scanning(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: scanning")
	}
	waitfor(ts, false, []string{watchingPatience.String(), "sh", `ampcli status -o json | grep -q '"state": "ready"' || { ampcli status -v; exit 1; }`})
	watching(ts, false, nil)
}

// condition answers [root] and [selinux], whether the guest's kernel runs with SELinux.
func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "selinux":
		_, err := os.Stat("/sys/fs/selinux/enforce")
		return err == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q; there are root, selinux", strings.TrimSpace(name))
}
