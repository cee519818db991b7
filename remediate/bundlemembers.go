package remediate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/archive"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan/definitions"
	"github.com/ampconnector/amp/kmod"
)

// Bounds of what goes into a support archive, beside those of the archive.
const (
	kernelMessages  = 16384
	definitionBytes = 1 << 20 // of a definition file that was set aside
	statusPatience  = 10 * time.Second
)

// logFolder is where the connectors' logs are, the vendor's too.
const logFolder = "/var/log/cisco"

// bundleFolder is what a support archive takes of a folder. Nothing else of it is looked at: keys, the quarantine and what a site keeps there stay.
type bundleFolder struct {
	from   string
	to     string // folder in the archive
	deep   int    // how many folders below it are gone through
	match  *regexp.Regexp
	events bool // command lines and paths of users are in it: only where they are asked for
	asItIs bool // no text
}

// bundleFolders are in the order in which they go in: where the archive has no room left, the logs of before are what stays out.
var bundleFolders = []bundleFolder{
	{from: path.Dir(fault.LedgerPath), to: "state", match: regexp.MustCompile(`^(faults\.json(\.corrupt-\d+)?|journal\.json|schedules\.json)$`)},
	{from: path.Dir(policy.Path), to: "policy", match: regexp.MustCompile(`^` + regexp.QuoteMeta(path.Base(policy.Path)) + `$`)},
	{from: path.Dir(policy.ExclusionPath), to: "policy", match: regexp.MustCompile(`^` + regexp.QuoteMeta(path.Base(policy.ExclusionPath)) + `$`)},
	{from: definitions.Dir, to: "definitions", deep: 1, match: regexp.MustCompile(`^(rejected|sets)/[0-9a-f]+\.json$`)},
	{from: layout.Dir, to: "build/layouts", match: regexp.MustCompile(`\.log$`)},
	{from: kmod.BuiltDir, to: "build/modules", deep: 1, match: regexp.MustCompile(`\.log$`)},
	{from: "/var/lib/dkms/amp-connector", to: "build/dkms", deep: 4, match: regexp.MustCompile(`(^|/)make\.log$`)},
	{from: logFolder, to: "log", match: regexp.MustCompile(`^[\w.-]+\.log$`)},
	{from: logFolder, to: "log", events: true, match: regexp.MustCompile(`^(events|detections)\.jsonl([.-]\d+)?(\.gz)?$`)},
	{from: logFolder, to: "log", match: regexp.MustCompile(`^[\w.-]+\.log[.-]\d+(\.gz)?$`)},
	{from: definitions.Dir, to: "definitions", deep: 2, asItIs: true, match: regexp.MustCompile(`^rejected/[0-9a-f]+/[\w.-]+$`)},
}

// packagesBundled are the packages whose versions matter.
var packagesBundled = []string{"amp-*", "ciscoampconnector", "clamav*", "libclamav*", "selinux-policy*", "policycoreutils*"}

// collection fills a support archive.
type collection struct {
	*archive.Archive
	root host.Root
}

// collect puts into the archive what it is made of. What cannot be read it says.
func (t *Tool) collect(ctx context.Context, a *archive.Archive, f *health.Facts, b Bundle) {
	c := collection{a, host.At(t.Root)}
	findings, err := t.findings(f)
	c.put("check.json", "amp-remediate check", findings, err)
	c.running("status.json", control.Socket, func() ([]byte, error) { return t.hands.status(ctx) })
	c.osRelease()
	for _, name := range []string{"/proc/version", "/proc/self/mountinfo"} {
		c.running("system/"+path.Base(name), name, func() ([]byte, error) { return c.root.ReadFile(name, archive.MemberLimit) })
	}
	c.running("system/packages.txt", "package database", func() ([]byte, error) {
		r := host.PackageVersions(ctx, c.root, packagesBundled...)
		return r.Value, r.Err
	})
	c.running("system/kernel.log", "/dev/kmsg", kernelLog)
	c.running("system/journal.log", "journalctl -u "+f.Connector.Unit, func() ([]byte, error) {
		r := host.UnitJournal(ctx, c.root, f.Connector.Unit)
		return r.Value, r.Err
	})
	for _, folder := range bundleFolders {
		if ctx.Err() != nil {
			return
		}
		c.folder(folder, b.Events)
	}
}

// running puts in what only a running host has.
func (c collection) running(name, from string, read func() ([]byte, error)) {
	if !c.root.Live() {
		c.LeftOut(from, host.ErrNotRunning)
		return
	}
	content, err := read()
	c.put(name, from, content, err)
}

// put puts in what was read, or says why there is none.
func (c collection) put(name, from string, content []byte, err error) {
	if err != nil {
		c.none(from, err)
		return
	}
	c.add(archive.Member{Name: name, From: from}, content)
}

// none says why there is nothing: it is not there, or may be and could not be read.
func (c collection) none(from string, err error) {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, control.ErrNotRunning) || errors.Is(err, host.ErrNoJournal) {
		c.Absent(from, err)
		return
	}
	c.Unread(from, err)
}

func (c collection) add(m archive.Member, content []byte) {
	if c.Add(m, content) != nil {
		c.LeftOut(m.From, errBundleFull.wrong(len(content)))
	}
}

// osRelease reads os-release(5) where it is a file: in /etc it may be a link out of there.
func (c collection) osRelease() {
	var errs []error
	for _, dir := range []string{"/usr/lib", "/etc"} {
		end, err := c.end(dir, "os-release")
		if err == nil {
			c.put("system/os-release", dir+"/os-release", end.Content, nil)
			return
		}
		errs = append(errs, err)
	}
	c.none("/etc/os-release", errors.Join(errs...))
}

func (c collection) end(dir, name string) (host.End, error) {
	folder, err := c.root.OpenFolder(dir)
	if err != nil {
		return host.End{}, err
	}
	defer folder.Close()
	return folder.ReadEnd(name, archive.MemberLimit)
}

// folder puts in what is wanted of a folder.
func (c collection) folder(b bundleFolder, events bool) {
	folder, err := c.root.OpenFolder(b.from)
	if err != nil {
		c.none(b.from, err)
		return
	}
	defer folder.Close()
	names, err := folder.Names(b.deep, b.match.MatchString)
	if err != nil {
		c.none(b.from, err)
	} else if len(names) == 0 {
		c.Absent(b.from, fmt.Errorf("no file whose name %s matches", b.match))
	}
	newestFirst(names)
	for _, name := range names {
		from := b.from + "/" + name
		if b.events && !events {
			c.LeftOut(from, errBundleEvents.wrong())
			continue
		}
		end, err := folder.ReadEnd(name, archive.MemberLimit)
		switch {
		case err != nil:
			c.none(from, err)
		case b.asItIs && end.Size > definitionBytes:
			c.LeftOut(from, errBundleFull.wrong(end.Size))
		default:
			member := archive.Member{Name: b.to + "/" + strings.TrimSuffix(name, ".gz"), From: from, Source: end.Size, Cut: end.Size > int64(len(end.Content)), AsItIs: b.asItIs}
			c.add(member, end.Content)
		}
	}
}

// rotation is what logrotate(8) puts behind the name of a log of before: a number that grows with age, or a date.
var rotation = regexp.MustCompile(`[.-](\d+)(\.gz)?$`)

// newestFirst orders logs of before by their age, whichever log they are of.
func newestFirst(names []string) {
	age := func(name string) int {
		m := rotation.FindStringSubmatch(name)
		if m == nil {
			return 0
		}
		n, err := strconv.Atoi(m[1])
		if err != nil || n >= 19700101 {
			return -n
		}
		return n
	}
	slices.SortStableFunc(names, func(a, b string) int { return age(a) - age(b) })
}

// kernelLog is what the kernel's buffer has, as dmesg(1) shows it.
func kernelLog() ([]byte, error) {
	r := kmod.ReadKernelLog(kernelMessages)
	var b strings.Builder
	for _, m := range r.Value {
		fmt.Fprintf(&b, "<%d>[%12.6f] %s\n", m.Level, m.Since.Seconds(), m.Text)
	}
	return []byte(b.String()), r.Err
}

// statusJSON is what the running connector says of itself, as "ampcli status -o json" prints it.
func statusJSON(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	a, err := control.Ask(ctx, control.Socket, control.Request{Verb: control.ReadStatus})
	if err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(a.Status, "", "  ")
	return append(b, '\n'), err
}
