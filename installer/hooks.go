package installer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
)

// Call is one call of a maintainer script: dpkg's of a .deb, or rpm's of an .rpm.
type Call struct {
	Format string   // "deb" or "rpm"
	Hook   string   // "preinst", "postinst", "prerm", "postrm", "posttrans"; rpm's pre, post, preun and postun go by the same names
	Args   []string // as the package manager gave them to the script

	Language fault.Language // of what is said; "" is English
	Version  string         // of this program
}

// hookAction is what a call asks for.
type hookAction string

const (
	nothing hookAction = "nothing"
	// note writes down whether the service runs, before an upgrade replaces its program.
	note hookAction = "note"
	// setUp makes the host ready at a first install and starts the service.
	setUp hookAction = "set-up"
	// setUpAgain makes the host ready after an upgrade and restarts the service if it runs, or ran before.
	setUpAgain hookAction = "set-up-again"
	// setUpOnly makes the host ready and leaves the service for a later call of the same transaction.
	setUpOnly hookAction = "set-up-only"
	// restartNoted restarts the service if it runs, or ran before the upgrade; not one that was set up in the same transaction.
	restartNoted hookAction = "restart-noted"
	// resume starts the service again after a removal or upgrade that was called off.
	resume hookAction = "resume"
	// halt stops the service. What is enabled stays so, as Debian does on remove.
	halt hookAction = "halt"
	// dismiss stops and disables the service, as RPM distributions do on erase.
	dismiss hookAction = "dismiss"
)

// any stands for every second argument, absent and empty ones included; some for one that is not empty.
const (
	anyArg  = "*"
	someArg = "+"
	noArg   = ""
)

// hookRow maps calls to an action. The first row that matches decides.
type hookRow struct {
	format, hook  string
	first, second string // the call's first two arguments: a word, anyArg, someArg or noArg
	action        hookAction
}

// hookRows is what package managers call. dpkg: Debian Policy 6.5, "Summary of ways maintainer scripts are called".
// rpm: $1 is the number of instances of the package that will be installed when the script's package is done with; a
// reinstallation and a downgrade look like an upgrade, and what posttrans is given says nothing (zypper always gives 1).
var hookRows = []hookRow{
	{"deb", "preinst", "install", anyArg, nothing}, // also with an old version: configuration was left, no program
	{"deb", "preinst", "upgrade", anyArg, note},
	{"deb", "preinst", "abort-upgrade", anyArg, nothing}, // postinst abort-upgrade, which comes after it, needs the note
	{"deb", "postinst", "configure", noArg, setUp},
	{"deb", "postinst", "configure", someArg, setUpAgain}, // upgrade, reinstallation, and install where configuration was left
	{"deb", "postinst", "abort-upgrade", anyArg, resume},
	{"deb", "postinst", "abort-remove", anyArg, resume},
	{"deb", "postinst", "abort-deconfigure", anyArg, nothing}, // deconfiguring stopped nothing
	{"deb", "postinst", "reconfigure", anyArg, nothing},
	{"deb", "postinst", "triggered", anyArg, nothing},
	{"deb", "prerm", "remove", anyArg, halt},
	{"deb", "prerm", "upgrade", anyArg, note}, // the daemon watches on during the upgrade
	{"deb", "prerm", "failed-upgrade", anyArg, nothing},
	{"deb", "prerm", "deconfigure", anyArg, nothing},
	// The postrm of the package is a shell script, since this program is gone by the time of "remove" and "purge".
	{"deb", "postrm", "remove", anyArg, nothing},
	{"deb", "postrm", "purge", anyArg, nothing},
	{"deb", "postrm", "upgrade", anyArg, nothing},
	{"deb", "postrm", "failed-upgrade", anyArg, nothing},
	{"deb", "postrm", "abort-install", anyArg, nothing},
	{"deb", "postrm", "abort-upgrade", anyArg, nothing},
	{"deb", "postrm", "disappear", anyArg, nothing},

	{"rpm", "preinst", "1", anyArg, nothing},
	{"rpm", "preinst", "2", anyArg, note},
	{"rpm", "postinst", "1", anyArg, setUp},
	{"rpm", "postinst", "2", anyArg, setUpOnly}, // the old package's scripts are still to come: posttrans restarts
	{"rpm", "prerm", "0", anyArg, dismiss},
	{"rpm", "prerm", "1", anyArg, nothing},
	{"rpm", "postrm", "0", anyArg, nothing},
	{"rpm", "postrm", "1", anyArg, nothing},
	{"rpm", "posttrans", anyArg, anyArg, restartNoted},
}

// Hooks are the names of calls that the table knows for any format.
var Hooks = []string{"preinst", "postinst", "prerm", "postrm", "posttrans"}

// ErrUsage is the error of a Call that no package manager makes.
var ErrUsage = errors.New("usage")

// action looks the call up.
func (c Call) action() (hookAction, error) {
	known := false
	for _, r := range hookRows {
		if r.format != c.Format || r.hook != c.Hook {
			continue
		}
		known = true
		if matches(r.first, c.argument(0)) && matches(r.second, c.argument(1)) {
			return r.action, nil
		}
	}
	switch {
	case !known:
		return nothing, fmt.Errorf("%w: no hook %q for the package format %q", ErrUsage, c.Hook, c.Format)
	case len(c.Args) == 0:
		return nothing, fmt.Errorf("%w: %s %s needs the arguments that the package manager gives", ErrUsage, c.Hook, c.Format)
	case c.Format == "rpm" && isCount(c.Args[0]): // more than two instances: multiversion installs
		return Call{Format: c.Format, Hook: c.Hook, Args: []string{upgradeCount[c.Hook]}}.action()
	}
	return nothing, nil // a word of a package manager newer than this table asks for nothing that is known
}

// upgradeCount is the count that stands for "an upgrade" among the rows of an rpm hook.
var upgradeCount = map[string]string{"preinst": "2", "postinst": "2", "prerm": "1", "postrm": "1"}

func isCount(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return len(s) > 0 && len(s) < 10 && s != "0"
}

func (c Call) argument(n int) string {
	if n < len(c.Args) {
		return c.Args[n]
	}
	return ""
}

func matches(pattern, argument string) bool {
	switch pattern {
	case anyArg:
		return true
	case someArg:
		return argument != ""
	}
	return pattern == argument
}

// hookLockWait is how long a hook waits for another program of ours; it holds up the package manager meanwhile.
const hookLockWait = 60 * time.Second

// RunHook does what a maintainer script's call asks for. What could not be done is written to out, a line each, and left for
// the daemon to raise as a fault: a package transaction never fails for it. The only error is ErrUsage.
func RunHook(ctx context.Context, h *Host, c Call, out io.Writer) error {
	action, err := c.action()
	if err != nil || action == nothing {
		return err
	}
	say := func(t fault.Text, a ...any) { fmt.Fprintln(out, "amp-connector: "+t.With(a...).In(c.Language)) }
	run := hookRun{h: h, format: c.Format, version: c.Version, say: say}
	if action == note {
		run.note(ctx)
	}
	wait := run.lockWait(ctx, action)
	lock, err := Acquire(ctx, h, "amp-install "+c.Hook, wait)
	if err == nil {
		defer lock.Release()
		run.recover(ctx)
	} else if run.unlocked = true; !run.locked(action, wait, err) {
		return nil
	}
	run.do(ctx, action)
	return nil
}

// lockWait is how long a call waits for the lock. An upgrade begins with what needs none, but for modules in DKMS.
func (r hookRun) lockWait(ctx context.Context, action hookAction) time.Duration {
	if action == note {
		if all, err := r.inDKMS(ctx); err == nil && len(all) == 0 {
			return 0
		}
	}
	return hookLockWait
}

// recover takes back what an interrupted run left. A program that holds the lock has done so itself.
func (r hookRun) recover(ctx context.Context) {
	undone, err := Recover(ctx, r.h)
	for _, title := range undone {
		r.say(hookUndone, title)
	}
	if err != nil {
		r.say(hookStuck, err)
	}
}

// locked says what is not done without the lock, and reports whether the call goes on all the same.
func (r hookRun) locked(action hookAction, wait time.Duration, err error) (goesOn bool) {
	switch action {
	case note:
		if wait > 0 {
			r.say(dkmsNotLeft, err)
		}
	case halt, dismiss:
		return true
	case setUpAgain, restartNoted:
		r.say(hookLocked, err)
		r.say(hookEarlier)
	default:
		r.say(hookLocked, err)
	}
	return false
}

// What hooks say.
var (
	hookLocked   = fault.Text{EN: "not set up: %v; afterwards: amp-remediate all", JA: "設定できませんでした: %v。後で実行してください: amp-remediate all"}
	hookUndone   = fault.Text{EN: "an interrupted run was taken back: %s", JA: "中断された実行を元に戻しました: %s"}
	hookStuck    = fault.Text{EN: "an interrupted run could not be taken back: %v", JA: "中断された実行を元に戻せませんでした: %v"}
	hookEarlier  = fault.Text{EN: "if the service runs, it is still the earlier program: amp-install restart", JA: "サービスが動作中の場合は、以前のプログラムのままです: amp-install restart"}
	hookUnnoted  = fault.Text{EN: "whether the service runs could not be noted; if it runs after the upgrade, it will be restarted: %v", JA: "サービスの動作状態を記録できませんでした。アップグレード後に動作している場合は再起動します: %v"}
	hookFailed   = fault.Text{EN: "%s: %v", JA: "%s に失敗しました: %v"}
	hookManual   = fault.Text{EN: "left for you: %s", JA: "手動での操作が必要です: %s"}
	hookCommand  = fault.Text{EN: "    %s", JA: "    %s"}
	hookLeft     = fault.Text{EN: "%s", JA: "%s"}
	hookRunError = fault.Text{EN: "%v", JA: "エラー: %v"}
)

// hookRun is one call that is being carried out.
type hookRun struct {
	h        *Host
	format   string
	version  string // of this program
	say      func(t fault.Text, a ...any)
	unlocked bool // another program holds the lock
}

func (r hookRun) do(ctx context.Context, action hookAction) {
	switch action {
	case note: // written already
		r.leaveDKMS(ctx, true)
	case halt:
		r.stop(ctx, stop)
		r.leaveDKMS(ctx, false)
	case dismiss:
		r.stop(ctx, StopAndDisable)
		r.leaveDKMS(ctx, false)
	case restartNoted:
		if act := r.afterUpgrade(ctx); act == Renew {
			r.run(ctx, r.service(act))
		}
	case resume:
		r.enterDKMS(ctx)
		if r.take() != ranNot {
			r.run(ctx, r.service(start))
		}
	case setUp:
		r.begin()
		r.run(ctx, installPlan(r.facts(ctx), EnableAndStart, Occasion{Format: r.format, First: true}))
	case setUpOnly:
		r.enterDKMS(ctx)
		r.run(ctx, installPlan(r.facts(ctx), "", Occasion{Format: r.format}))
	case setUpAgain:
		r.enterDKMS(ctx)
		r.run(ctx, installPlan(r.facts(ctx), r.afterUpgrade(ctx), Occasion{Format: r.format}))
	}
}

// stop ends the service before its program goes, whoever holds the lock. Another program that does is at a step of its own: the journal of that is no
// interrupted run's, to be undone, and is not written over.
func (r hookRun) stop(ctx context.Context, act ServiceAction) {
	if !r.unlocked {
		r.run(ctx, r.service(act))
		return
	}
	s := r.service(act).Items[0].Step
	needed, err := s.Needed(ctx, r.h)
	if err == nil && needed {
		err = s.Apply(ctx, r.h)
	}
	if err != nil {
		r.say(hookFailed, s.Title(), err)
	}
}

// note notes whether the service runs. It needs no lock, and must not wait for one: it changes nothing but a file below /run, and another program may
// hold the lock for longer than a package manager can be held up.
func (r hookRun) note(ctx context.Context) {
	if err := writeNote(ctx, r.h); err != nil {
		r.say(hookUnnoted, err)
	}
}

// begin takes away what an earlier transaction may have noted. Rpm's posttrans comes after a first installation too, and is to know it for one.
func (r hookRun) begin() {
	r.take()
	if r.format == "rpm" {
		r.sayError(putNote(r.h, fresh))
	}
}

// afterUpgrade is what becomes of the service, "" for nothing. What runs may have the replaced program, whatever the note says or that it could not be
// written. Without a note a service that does not run may have had no upgrade: the package had been removed and its configuration left.
func (r hookRun) afterUpgrade(ctx context.Context) ServiceAction {
	n := r.take()
	if n == fresh {
		return ""
	}
	active, err := serviceActive(ctx, r.h)
	r.sayError(err)
	switch {
	case active || n == ran:
		return Renew
	case n == unknown:
		return EnableAndStart
	}
	return ""
}

func (r hookRun) facts(ctx context.Context) *health.Facts {
	return health.Gather(ctx, health.Options{Root: r.h.Root.Dir()})
}

// service is a plan of the one service step. It needs no facts: a hook is a script of our own package.
func (r hookRun) service(act ServiceAction) Plan {
	return Plan{Name: "install", Items: optional(serviceItems(ourFacts(), act, Occasion{Format: r.format}))}
}

// run applies a plan and says what was left.
func (r hookRun) run(ctx context.Context, p Plan) {
	results, err := Run(ctx, r.h, p, Options{})
	for _, res := range results {
		switch {
		case res.Outcome == Failed:
			r.say(hookFailed, res.Item.Step.Title(), res.Err)
		case res.Outcome == Manual:
			r.say(hookManual, res.Item.Manual)
			for _, command := range res.Item.Commands {
				r.say(hookCommand, command)
			}
		}
		if s, ok := res.Item.Step.(*Service); ok && s.Left != (fault.Text{}) {
			r.say(hookLeft, s.Left)
		}
	}
	if err != nil {
		r.say(hookRunError, err)
	}
}

// take reads the note and takes it away.
func (r hookRun) take() noted {
	n, err := takeNote(r.h)
	if err != nil {
		r.say(hookRunError, err)
	}
	return n
}
