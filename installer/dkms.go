package installer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/kmod"
)

// DKMS knows our modules where an administrator had it add them, and only there: what the package does is what its own source asks for. A version is removed
// from DKMS before its source goes, after which dkms could do nothing with it, and in an upgrade the next one takes its place. It is no plan of steps: what
// is taken away is in a note, and where that is lost the connector builds its modules itself.

const (
	dkms = "dkms"
	// dkmsNote tells the scripts that end an upgrade what those that began it took from DKMS.
	dkmsNote = "/run/cisco-amp/upgrade-dkms"
	// dkmsWait bounds one command: two modules compile in 20 seconds, on an emulated machine in some minutes.
	dkmsWait = 10 * time.Minute

	maxDKMSNote = 64 << 10
	maxMakeLog  = 4 << 20
)

// added is a version of our modules that DKMS has.
type added struct {
	version string
	kernels []string // that it is installed for, by their releases
}

// parseDKMSStatus reads what "dkms status" says of our modules: "amp-connector/0.1.0, 6.1.0-49-amd64, x86_64: installed", or "amp-connector/0.1.0: added"
// where it is built for no kernel. Before 3.0 there was a comma for the slash.
func parseDKMSStatus(out []byte) []added {
	var all []added
	for line := range strings.Lines(string(out)) {
		what, state, ok := strings.Cut(strings.TrimSpace(line), ": ")
		fields := strings.Split(strings.Replace(what, "/", ", ", 1), ", ")
		if !ok || fields[0] != kmod.DKMSName || len(fields) < 2 {
			continue
		}
		i := slices.IndexFunc(all, func(a added) bool { return a.version == fields[1] })
		if i < 0 {
			i, all = len(all), append(all, added{version: fields[1]})
		}
		if len(fields) > 2 && strings.HasPrefix(state, "installed") && host.CheckRelease(fields[2]) == nil && !slices.Contains(all[i].kernels, fields[2]) {
			all[i].kernels = append(all[i].kernels, fields[2])
		}
	}
	return all
}

// runDKMS runs dkms with a bound. A host that has none is fs.ErrNotExist. The error has the command and why dkms failed.
func (r hookRun) runDKMS(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, dkmsWait)
	defer cancel()
	said, _, err := r.h.call(ctx, keeping{tool: dkms, args: args})
	if err != nil {
		return said, toolError(ctx, commandLine(dkms, args), []byte(dkmsCause(r.h.Root, said)), err)
	}
	return said, nil
}

// makeLog is what dkms calls the file with what a build said, as it names it.
var makeLog = regexp.MustCompile(`/\S+/make\.log`)

// dkmsCause is why dkms failed, in one line: what its first "Error!" is and what stands below, which may be how to get on. Of a build that failed it says no
// more than which file to consult: then that file's first error stands for it.
func dkmsCause(r host.Root, said []byte) string {
	_, cause, ok := strings.Cut(string(said), "Error! ")
	if !ok {
		return lastOutputLine(said)
	}
	cause, _, _ = strings.Cut(cause, "Error! ")
	first, _, _ := strings.Cut(cause, "\n")
	if file := makeLog.FindString(cause); file != "" {
		if b, err := r.ReadFile(file, maxMakeLog); err != nil {
			return first + ": " + err.Error()
		} else if complaint := layout.Complaint(b); complaint != "" {
			return first + ": " + file + ": " + complaint
		}
	}
	return strings.Join(strings.Fields(cause), " ")
}

// inDKMS are the versions of our modules that DKMS has; none where there is no DKMS.
func (r hookRun) inDKMS(ctx context.Context) ([]added, error) {
	out, err := r.runDKMS(ctx, "status")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return parseDKMSStatus(out), err
}

// leaveDKMS takes our modules out of DKMS, and notes what they were installed for where again is to be asked for: the version that comes is put in their
// place.
func (r hookRun) leaveDKMS(ctx context.Context, again bool) {
	all, err := r.inDKMS(ctx)
	if err != nil || len(all) == 0 {
		r.sayError(err)
		return
	}
	if again {
		r.sayError(r.noteDKMS(all))
	}
	for _, a := range all {
		args := []string{"remove", kmod.DKMSName + "/" + a.version, "--all"}
		if _, err := r.runDKMS(ctx, args...); err != nil {
			r.say(dkmsNotLeft, err)
			r.say(hookCommand, commandLine(dkms, args))
		}
	}
}

// noteDKMS writes down the kernels. An upgrade comes here twice: the second time DKMS has nothing, and the note stays.
func (r hookRun) noteDKMS(all []added) error {
	kernels := []string{}
	for _, a := range all {
		kernels = append(kernels, a.kernels...)
	}
	b, err := json.Marshal(kernels)
	if err != nil {
		return err
	}
	name, err := r.h.Root.Path(dkmsNote)
	if err != nil {
		return err
	}
	if err := durable.MakeFolder(path.Dir(name), 0o755); err != nil {
		return err
	}
	return durable.Write(name, b, 0o644, nil)
}

// enterDKMS has DKMS take this version, and install it for the kernels that the one before was installed for, if that was noted. Without the note, nobody
// wants it.
func (r hookRun) enterDKMS(ctx context.Context) {
	kernels, err := r.takeDKMSNote()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	module := kmod.DKMSName + "/" + kmod.DKMSVersion(r.version)
	add := []string{"add", module}
	if err == nil {
		_, err = r.runDKMS(ctx, add...)
	}
	if err != nil {
		r.say(dkmsNotEntered, err)
		r.say(hookCommand, commandLine(dkms, add))
		return
	}
	for _, release := range kernels { // one whose headers are gone is no matter of the others
		install := []string{"install", module, "-k", release}
		if _, err := r.runDKMS(ctx, install...); err != nil {
			r.say(dkmsNotEntered, err)
			r.say(hookCommand, commandLine(dkms, install))
		}
	}
}

// takeDKMSNote reads the note and removes it. The error is fs.ErrNotExist where there is none.
func (r hookRun) takeDKMSNote() (kernels []string, err error) {
	b, err := r.h.Root.ReadFile(dkmsNote, maxDKMSNote)
	if err != nil {
		return nil, err
	}
	name, err := r.h.Root.Path(dkmsNote)
	if err == nil {
		err = os.Remove(name)
	}
	if err == nil {
		err = json.Unmarshal(b, &kernels)
	}
	for _, release := range kernels {
		err = errors.Join(err, host.CheckRelease(release))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %v", dkmsNote, err) //nolint:errorlint // it is there, whatever the error is
	}
	return kernels, nil
}

func (r hookRun) sayError(err error) {
	if err != nil {
		r.say(hookRunError, err)
	}
}

// What is said of DKMS.
var (
	dkmsNotLeft    = fault.Text{EN: "the kernel modules could not be removed from DKMS: %v", JA: "カーネルモジュールを DKMS から削除できませんでした: %v"}
	dkmsNotEntered = fault.Text{
		EN: "DKMS did not take the kernel modules of this version: %v. The connector builds what it needs itself; to have DKMS do it again:",
		JA: "このバージョンのカーネルモジュールを DKMS に登録できませんでした: %v。必要なモジュールはコネクタ自身がビルドします。DKMS に再びビルドさせるには:",
	}
)
