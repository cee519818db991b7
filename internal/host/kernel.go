package host

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/go-version"
	"golang.org/x/sys/unix"
)

// modulesFolders is where the kernels of an image have their modules; on merged-/usr distributions they are one.
var modulesFolders = []string{"/usr/lib/modules", "/lib/modules"}

var (
	releasePattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}$`)
	upstreamPattern = regexp.MustCompile(`^[0-9]{1,4}(\.[0-9]{1,6}){1,2}`)
)

// ErrSeveralKernels is in the chain of Facts.Kernel's error for an image that holds more than one kernel, of which none was chosen.
var ErrSeveralKernels = errors.New("choose one with --kernel")

// CheckRelease refuses what cannot be a kernel release (uname(2): at most 64 bytes), such as a path.
func CheckRelease(release string) error {
	if !releasePattern.MatchString(release) {
		return fmt.Errorf("kernel release %q: %w: letters, digits and ._+~- expected, 64 at most", release, ErrMalformed)
	}
	return nil
}

// Upstream is the x.y.z part of the release. Enterprise kernels backport: it dates a kernel and proves no feature.
func (k Kernel) Upstream() (*version.Version, error) {
	m := upstreamPattern.FindString(k.Release)
	if m == "" {
		return nil, fmt.Errorf("kernel release %q: %w: no version at its beginning", k.Release, ErrMalformed)
	}
	return version.NewVersion(m)
}

// kernel finds the kernel to judge and reads its build configuration. asked is the user's choice, "" if none.
func kernel(r Root, asked string) Reading[Kernel] {
	release := kernelRelease(r, asked)
	if release.Err != nil {
		return NotKnown[Kernel](release.From, release.Err)
	}
	return Read(ReadKernel(r, release.Value), release.From)
}

// ReadKernel reads what the host at r has of the kernel with that release.
func ReadKernel(r Root, release string) Kernel {
	k := Kernel{Release: release, Config: KernelConfig(r, release, configOptions...)}
	if running := RunningRelease(); r.Live() && running.Err == nil {
		k.Other = running.Value != release
	}
	k.BTF = Reading[bool]{Value: k.Config.Value[optionBTF] == "y", From: k.Config.From, Err: k.Config.Err}
	k.Headers = HeadersOf(r, release)
	return k
}

func kernelRelease(r Root, asked string) Reading[string] {
	if asked != "" {
		if err := CheckRelease(asked); err != nil {
			return NotKnown[string]("--kernel", err)
		}
		return Read(asked, "--kernel")
	}
	if r.Live() {
		return RunningRelease()
	}
	return imageRelease(r)
}

// RunningRelease is the release of the kernel that runs.
func RunningRelease() Reading[string] {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return NotKnown[string]("uname -r", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	if err := CheckRelease(release); err != nil {
		return NotKnown[string]("uname -r", err)
	}
	return Read(release, "uname -r")
}

// imageRelease takes the kernel of an image that has only one.
func imageRelease(r Root) Reading[string] {
	for _, dir := range modulesFolders {
		found, err := kernelsIn(r, dir)
		switch {
		case err != nil:
			return NotKnown[string](dir, err)
		case len(found) == 1:
			return Read(found[0], dir)
		case len(found) > 1:
			return NotKnown[string](dir, fmt.Errorf("%s has %d kernels (%s): %w", dir, len(found), strings.Join(found, ", "), ErrSeveralKernels))
		}
	}
	return NotKnown[string](modulesFolders[0], errors.New("the image has no kernel in /usr/lib/modules: name the one that it will run on with --kernel"))
}

// kernelsIn lists the kernels with modules in dir. A removed kernel often leaves a folder with modules built on the host
// (updates/dkms) and nothing else, which is none.
func kernelsIn(r Root, dir string) ([]string, error) {
	there, err := r.exists(dir)
	if err != nil || !there {
		return nil, err
	}
	entries, err := r.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		if e.IsDir() && CheckRelease(e.Name()) == nil && hasKernel(r, dir+"/"+e.Name()) {
			found = append(found, e.Name())
		}
	}
	return found, nil
}

func hasKernel(r Root, dir string) bool {
	for _, name := range []string{"kernel", "modules.builtin", "vmlinuz"} {
		if there, _ := r.exists(dir + "/" + name); there {
			return true
		}
	}
	return false
}
