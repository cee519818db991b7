package layout

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/ulikunitz/xz"

	"github.com/ampconnector/amp/internal/host"
)

// packedTail ends the name of BTF as BTFHub's archive ships it: bare, under its own name, in a compressed tar archive.
const (
	packedTail = ".tar.xz"
	xzMagic    = "\xfd7zXZ\x00"
	xzFooter   = "YZ"
	maxPadding = 4 << 10 // bytes of zeros that may follow
	maxMembers = 16      // of an archive; BTFHub's have one
)

// wholeArchive looks at how an archive ends (The .xz File Format, 2.1.2.4 and 2.2): a download may have stopped half-way.
func wholeArchive(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	end := fi.Size()
	tail := make([]byte, 4)
	for least := max(end-maxPadding, int64(len(tail))); end >= least; end -= int64(len(tail)) {
		if _, err := f.ReadAt(tail, end-int64(len(tail))); err != nil {
			return fmt.Errorf("read the last %d bytes: %w", len(tail), err)
		}
		if [4]byte(tail) != [4]byte{} {
			break
		}
	}
	if got := string(tail[2:]); got != xzFooter {
		return fmt.Errorf("it ends with %q, expected %q: it is not whole", got, xzFooter)
	}
	return nil
}

// folderPaths are where BTF of a kernel is looked for in a folder of an administrator's, %s its release. ELF files or bare BTF, by what is in them.
var folderPaths = []string{"%s.btf", "%s.btf" + packedTail, "vmlinux-%s"}

// hubMachines are BTFHub's names of architectures.
var hubMachines = map[string]string{"amd64": "x86_64", "arm64": "arm64"}

// kernelMachines are how releases of RPM distributions end.
var kernelMachines = map[string]string{"amd64": ".x86_64", "arm64": ".aarch64"}

// folders are those that an administrator puts BTF files into, the policy's first.
func (s Store) folders() []string {
	if s.Folder == "" {
		return []string{ExternalDir}
	}
	return []string{s.Folder, ExternalDir}
}

// Places are where BTF of a release is to be put in the folders for it, whether it is there or not: at their top, and where BTFHub's archive has the
// kernels of this distribution. It is found in the tree of another one too.
func (s Store) Places(r host.Root, release string) []string {
	var names []string
	d := host.DistributionOf(r)
	for _, folder := range s.folders() {
		for _, p := range folderPaths {
			names = append(names, path.Join(folder, strings.ReplaceAll(p, "%s", release)))
		}
		for _, version := range versions(d.Value) {
			names = append(names, hubNames(path.Join(folder, d.Value.ID, version), release)...)
		}
	}
	return names
}

// versions are what BTFHub may call a version: Ubuntu's and SUSE's whole, Enterprise Linux by its first number.
func versions(d host.Distribution) []string {
	if d.ID == "" || d.VersionID == "" {
		return nil
	}
	major, _, more := strings.Cut(d.VersionID, ".")
	if more {
		return []string{d.VersionID, major}
	}
	return []string{d.VersionID}
}

func hubNames(version, release string) []string {
	name := path.Join(version, hubMachines[runtime.GOARCH], release+".btf")
	return []string{name, name + packedTail}
}

// folderFiles lists where BTF of the release may be in a folder: at its top, else in a tree as BTFHub's archive has it,
// ID/VERSION_ID/MACHINE/RELEASE.btf. Two distributions may have a release in common, so that this one's own come first.
func folderFiles(r host.Root, folder, release string) ([]string, error) {
	var names, others []string
	for _, p := range folderPaths {
		names = append(names, path.Join(folder, strings.ReplaceAll(p, "%s", release)))
	}
	ids, err := subfolders(r, folder)
	if err != nil {
		return nil, err
	}
	own := host.DistributionOf(r).Value
	for _, id := range ids {
		all, err := subfolders(r, path.Join(folder, id))
		if err != nil {
			return nil, err
		}
		for _, version := range all {
			found := hubNames(path.Join(folder, id, version), release)
			if id == own.ID && slices.Contains(versions(own), version) {
				names = append(names, found...)
			} else {
				others = append(others, found...)
			}
		}
	}
	return append(names, others...), nil
}

func subfolders(r host.Root, dir string) ([]string, error) {
	entries, err := r.ReadDir(dir)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && len(names) < maxFolders {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// noFolder is why the policy's folder is none, nil if it is one or there is none in the policy. It may be on a share that is not mounted.
func (s Store) noFolder(r host.Root) *Error {
	if s.Folder == "" {
		return nil
	}
	if _, err := r.ReadDir(s.Folder); absent(err) {
		return &Error{Why: Malformed, From: s.Folder, Err: err}
	}
	return nil
}

// onlyRoot is why a file is not used that is in a folder for them: whoever writes there would decide what the programs read of the kernel. Nobody but
// the owner of the root, which is root but where an image was unpacked without its rights, may change the file or a directory above it.
func onlyRoot(r host.Root, name string) error {
	real, err := r.Path(name)
	if err != nil {
		return err
	}
	fi, err := os.Stat(r.Dir())
	if err != nil {
		return err
	}
	owner := fi.Sys().(*syscall.Stat_t).Uid
	for at := real; at != r.Dir(); at = filepath.Dir(at) {
		fi, err := os.Lstat(at)
		if err != nil {
			return err
		}
		if uid, mode := fi.Sys().(*syscall.Stat_t).Uid, fi.Mode().Perm(); uid != owner || mode&0o022 != 0 {
			inside, err := filepath.Rel(r.Dir(), at)
			if err != nil {
				return err
			}
			return &Error{Why: OthersWrite, From: name, Detail: fmt.Sprintf("/%s has owner %d and mode %04o, expected owner %d, and no right to write for group and others",
				inside, uid, mode, owner)}
		}
	}
	return nil
}

// members are what a release's BTF may be called in an archive: those of BTFHub had no architecture in their names at first.
func members(release string) []string {
	return []string{release + ".btf", strings.TrimSuffix(release, kernelMachines[runtime.GOARCH]) + ".btf"}
}

// unpack gives the member of an archive that has one of the names.
func unpack(archive io.Reader, members []string) ([]byte, error) {
	z, err := xz.NewReader(bufio.NewReader(archive))
	if err != nil {
		return nil, fmt.Errorf("unpack xz: %w", err)
	}
	var others []string
	for t := tar.NewReader(io.LimitReader(z, 2*maxBTF)); len(others) < maxMembers; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		if h.Typeflag != tar.TypeReg || !slices.Contains(members, path.Base(h.Name)) {
			others = append(others, h.Name)
			continue
		}
		if h.Size > maxBTF {
			return nil, fmt.Errorf("%s: %w: %d bytes of BTF, expected %d at most", h.Name, host.ErrTooLarge, h.Size, maxBTF)
		}
		b, err := io.ReadAll(t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
		return b, nil
	}
	return nil, fmt.Errorf("the archive has %q, expected %s", others, members[0])
}
