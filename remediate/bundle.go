package remediate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/archive"
	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// Bundle is what is asked for of a support archive.
type Bundle struct {
	To      string // its file; "" is a name made of host and time, in the working directory
	Events  bool   // with the log of events and that of detections
	Program string // who makes it, with its version
}

// BundleReport is what the making of a support archive says under --output json. docs/bundle.schema.json describes it, and the manifest.
type BundleReport struct {
	Archive  string           `json:"archive"` // path
	Size     int64            `json:"size"`    // bytes
	Manifest archive.Manifest `json:"manifest"`
}

// bundleAbout says in the manifest what the archive is of.
type bundleAbout struct {
	Program string `json:"program"`
	Host    string `json:"host"`
	Root    string `json:"root"`
	Live    bool   `json:"live"`
	ByRoot  bool   `json:"by_root"` // root made it
	Events  bool   `json:"events"`
}

// Bundle makes the support archive: one file that is whole or not there. It changes nothing else, and sends nothing.
func (t *Tool) Bundle(ctx context.Context, b Bundle) int {
	if strings.HasSuffix(b.To, "/") || b.To == "-" {
		return t.usage(errBundleTo.wrong(b.To))
	}
	f, err := t.gather(ctx)
	if err != nil {
		return t.usage(err)
	}
	now := time.Now().UTC()
	name := t.hostName()
	folder := "amp-support-" + name + "-" + now.Format("20060102T150405Z")
	path := b.To
	if path == "" {
		path = folder + ".tar.gz"
	}
	if path, err = filepath.Abs(path); err != nil {
		return t.usage(errBundle.wrong(b.To, err))
	}
	about := bundleAbout{b.Program, name, host.At(t.Root).Dir(), !t.image(), t.Privileged, b.Events}
	a := archive.New(folder, now, about, archive.NewRedactor(installer.PasswordPhrases()...))
	err = durable.Create(path, 0o600, func(w io.Writer) error {
		t.collect(ctx, a, f, b)
		if err := ctx.Err(); err != nil {
			return errBundleEnded.wrong()
		}
		return a.Write(w)
	})
	if errors.Is(err, fs.ErrExist) {
		return t.usage(errBundleThere.wrong(path))
	}
	if err != nil {
		return t.usage(errBundle.wrong(path, err))
	}
	info, err := os.Stat(path)
	if err != nil {
		return t.usage(errBundle.wrong(path, err))
	}
	return t.bundled(BundleReport{path, info.Size(), a.Manifest()})
}

// bundled says what came of it.
func (t *Tool) bundled(r BundleReport) int {
	m := r.Manifest
	if t.JSON {
		e := json.NewEncoder(t.Stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		_ = e.Encode(r) // whose Stdout it is sees what could not be written
	} else {
		t.say(msgBundle, r.Archive, r.Size, len(m.Members))
		t.say(msgBundleRemoved, m.Removed)
		t.missing(msgBundleUnread, m.Unread)
		t.missing(msgBundleLeftOut, m.LeftOut)
		t.cut(m.Members)
		t.say(msgBundleLocal)
	}
	switch {
	case len(m.Unread) == 0:
		return ExitGone
	case !t.Privileged:
		t.say(msgBundleNeedsRoot)
		return ExitRoot
	}
	return ExitUnknown
}

func (t *Tool) missing(title message, list []archive.Missing) {
	if len(list) == 0 {
		return
	}
	t.say(title)
	for _, m := range list {
		fmt.Fprintf(t.Stdout, "  %s: %s\n", m.From, installer.ErrorText(m.Err).In(t.Language))
	}
}

func (t *Tool) cut(members []archive.Member) {
	titled := false
	for _, m := range members {
		if !m.Cut {
			continue
		}
		if !titled {
			t.say(msgBundleCut)
			titled = true
		}
		fmt.Fprintf(t.Stdout, "  %s: %d / %d\n", m.From, m.Size, m.Source)
	}
}

// noHostName is what does not stand in the name of a host (RFC 1123), and may not in that of a file.
var noHostName = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// hostName is the host's name as it may stand in that of a file.
func (t *Tool) hostName() string {
	name := "image"
	if t.image() {
		if folder, err := host.At(t.Root).OpenFolder("/etc"); err == nil {
			defer folder.Close()
			if end, err := folder.ReadEnd("hostname", 256); err == nil && len(end.Content) > 0 {
				name = string(end.Content)
			}
		}
	} else if own, err := os.Hostname(); err == nil {
		name = own
	}
	name = strings.Trim(noHostName.ReplaceAllString(strings.TrimSpace(name), "-"), "-.")
	if name == "" {
		return "host"
	}
	return name[:min(len(name), 64)]
}

// findings are facts and findings as check tells them.
func (t *Tool) findings(f *health.Facts) ([]byte, error) {
	all, err := Select(nil)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	err = writeJSON(&b, t.reportOf(f, judged(f, all.IDs)))
	return []byte(b.String()), err
}
