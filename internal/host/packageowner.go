package host

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// PackageOwner is the package that a file belongs to.
type PackageOwner struct {
	Package string        // "" where no package has the file
	Matches Reading[bool] // the file is as the package brought it; not known where there is no package
}

// What keeps a file from being compared.
var (
	errNoPackageDatabase = errors.New("no package database that is known is there")
	errUnowned           = errors.New("no package has it")
	errNoDigest          = errors.New("the package database has no checksum of it")
)

// maxHashed bounds the file that is compared, in bytes: browsers and databases have executables of a few hundred MiB.
const maxHashed = 1 << 30

// packageDatabase is one of the two kinds of package database.
type packageDatabase struct {
	marks []string // files of which one is there where the database is in use
	owner func(ctx context.Context, q questions, path string) (pkg string, digest func() (fileDigest, error), err error)
}

// fileDigest is a file's checksum as a package database has it.
type fileDigest struct {
	hash func() hash.Hash
	hex  string
	from string
}

var packageDatabases = []packageDatabase{
	{[]string{"/var/lib/dpkg/status"}, dpkgFileOwner},
	{[]string{
		"/usr/lib/sysimage/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/Packages.db", "/usr/lib/sysimage/rpm/Packages",
		"/var/lib/rpm/rpmdb.sqlite", "/var/lib/rpm/Packages.db", "/var/lib/rpm/Packages",
	}, rpmFileOwner},
}

// questions are asked of a host's tools.
type questions struct {
	Root
	ask func(ctx context.Context, r Root, tool string, args ...string) (output []byte, status int, err error)
}

// packagePatience bounds a question to a package database, which is read from end to end: on a machine that is short of time or of memory, and with
// nothing of it read before, that takes longer than other answers.
const packagePatience = 20 * time.Second

// packageQuestions are asked of the tools of the package databases.
func packageQuestions(r Root) questions {
	return questions{r, func(ctx context.Context, r Root, tool string, args ...string) ([]byte, int, error) {
		return askFor(ctx, r, packagePatience, tool, args...)
	}}
}

// FindPackageOwner asks the package databases of the running host who a file belongs to, and compares its content with the checksum that is
// kept there, as dpkg --verify and rpm --verify do for all files of a package.
func FindPackageOwner(ctx context.Context, r Root, path string) Reading[PackageOwner] {
	if !r.Live() {
		return NotKnown[PackageOwner](path, ErrNotRunning)
	}
	return findPackageOwner(ctx, packageQuestions(r), path)
}

func findPackageOwner(ctx context.Context, q questions, path string) Reading[PackageOwner] {
	var errs []error
	asked := false
	for _, db := range packageDatabases {
		if !db.inUse(q.Root) {
			continue
		}
		pkg, digest, err := db.owner(ctx, q, path)
		switch {
		case err != nil:
			errs = append(errs, err)
		case pkg == "":
			asked = true
		default:
			return Read(PackageOwner{Package: pkg, Matches: compareDigest(ctx, q.Root, path, digest)}, path)
		}
	}
	switch {
	case len(errs) > 0:
		return NotKnown[PackageOwner](path, errors.Join(errs...))
	case !asked:
		return NotKnown[PackageOwner](path, errNoPackageDatabase)
	}
	return Read(PackageOwner{Matches: NotKnown[bool](path, errUnowned)}, path)
}

func (db packageDatabase) inUse(r Root) bool {
	for _, mark := range db.marks {
		if fi, err := r.Stat(mark); err == nil && fi.Mode().IsRegular() && fi.Size() > 0 {
			return true
		}
	}
	return false
}

// dpkgFileOwner asks dpkg-query(1), and finds the checksum in the package's md5sums. dpkg knows a file by the path that its package has it at:
// where /bin is a link to /usr/bin, that may be either.
func dpkgFileOwner(ctx context.Context, q questions, path string) (string, func() (fileDigest, error), error) {
	names := mergedNames(q.Root, path)
	args := []string{"-S"}
	for _, name := range names {
		args = append(args, literalPattern(name))
	}
	out, status, err := q.ask(ctx, q.Root, "dpkg-query", args...) // the status is 1 where it does not know one of the names
	if err != nil {
		return "", nil, err
	}
	if status > 1 {
		return "", nil, fmt.Errorf("dpkg-query -S %s: exit status %d", path, status)
	}
	for _, name := range names {
		if pkg := parseDpkgOwner(string(out), name); pkg != "" {
			return pkg, func() (fileDigest, error) { return dpkgDigest(q.Root, pkg, name) }, nil
		}
	}
	return "", nil, nil
}

// literalPattern is a path as a pattern that fits nothing else, dpkg-query(1).
func literalPattern(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// mergedFolders are those that /usr may have in their place.
var mergedFolders = []string{"/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/"}

// mergedNames are the names of a file where /usr is merged, the given one first.
func mergedNames(r Root, path string) []string {
	names := []string{path}
	for _, folder := range mergedFolders {
		if fi, err := r.Lstat(strings.TrimSuffix(folder, "/")); err != nil || fi.Mode().Type() != fs.ModeSymlink {
			continue
		}
		switch {
		case strings.HasPrefix(path, folder):
			names = append(names, "/usr"+path)
		case strings.HasPrefix(path, "/usr"+folder):
			names = append(names, strings.TrimPrefix(path, "/usr"))
		}
	}
	return names
}

// parseDpkgOwner reads "package[:arch][, package…]: path". Diversions have lines of their own.
func parseDpkgOwner(out, path string) string {
	for line := range strings.Lines(out) {
		owners, ok := strings.CutSuffix(strings.TrimSuffix(line, "\n"), ": "+path)
		if !ok || strings.HasPrefix(owners, "diversion by ") || strings.HasPrefix(owners, "local diversion ") {
			continue
		}
		first, _, _ := strings.Cut(owners, ", ")
		return first
	}
	return ""
}

// maxSums bounds an md5sums file, in bytes: that of a large package has some megabytes.
const maxSums = 32 << 20

func dpkgDigest(r Root, pkg, path string) (fileDigest, error) {
	name, _, _ := strings.Cut(pkg, ":")
	for _, file := range []string{"/var/lib/dpkg/info/" + pkg + ".md5sums", "/var/lib/dpkg/info/" + name + ".md5sums"} {
		sums, err := r.ReadFile(file, maxSums)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fileDigest{}, err
		}
		for line := range bytes.Lines(sums) {
			sum, listed, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), "  ")
			if ok && "/"+listed == path {
				return fileDigest{md5.New, sum, file}, nil
			}
		}
	}
	return fileDigest{}, fmt.Errorf("%s of %s: %w", path, pkg, errNoDigest)
}

// rpmQuery prints the package, its architecture, the algorithm, and a line with the checksum for each of its files, rpm(8).
const rpmQuery = `P %{NAME}.%{ARCH}\nA %{FILEDIGESTALGO}\n[F %{FILEDIGESTS} %{FILENAMES}\n]`

func rpmFileOwner(ctx context.Context, q questions, path string) (string, func() (fileDigest, error), error) {
	out, status, err := q.ask(ctx, q.Root, "rpm", "-qf", "--qf", rpmQuery, path)
	if err != nil {
		return "", nil, err
	}
	pkg, digest := parseRPMOwner(string(out), mergedNames(q.Root, path))
	if pkg == "" && status > 1 {
		return "", nil, fmt.Errorf("rpm -qf %s: exit status %d", path, status)
	}
	return pkg, digest, nil
}

// rpmHashes are the algorithms by their numbers in OpenPGP, RFC 9580, 9.5. Packages from before 2009 have none and mean MD5.
var rpmHashes = map[string]func() hash.Hash{
	"(none)": md5.New, "1": md5.New, "2": sha1.New, "8": sha256.New, "9": sha512.New384, "10": sha512.New, "11": sha256.New224,
}

// parseRPMOwner reads what rpmQuery prints of the first package.
func parseRPMOwner(out string, names []string) (string, func() (fileDigest, error)) {
	var pkg, algorithm, sum string
	lines := bufio.NewScanner(strings.NewReader(out))
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		kind, rest, _ := strings.Cut(lines.Text(), " ")
		switch {
		case kind == "P" && pkg != "": // the next package that has it too
			return pkg, rpmDigest(pkg, algorithm, sum)
		case kind == "P":
			pkg = rest
		case kind == "A":
			algorithm = rest
		case kind == "F" && sum == "":
			digest, name, _ := strings.Cut(rest, " ")
			for _, n := range names {
				if n == name {
					sum = digest
				}
			}
		}
	}
	return pkg, rpmDigest(pkg, algorithm, sum)
}

func rpmDigest(pkg, algorithm, sum string) func() (fileDigest, error) {
	return func() (fileDigest, error) {
		h := rpmHashes[algorithm]
		if h == nil || sum == "" {
			return fileDigest{}, fmt.Errorf("%s: %w", pkg, errNoDigest)
		}
		return fileDigest{h, sum, "rpm -qf"}, nil
	}
}

// compareDigest reads the file. It is no symbolic link: one that is executed by its path is what the link leads to.
func compareDigest(ctx context.Context, r Root, path string, digest func() (fileDigest, error)) Reading[bool] {
	d, err := digest()
	if err != nil {
		return NotKnown[bool](path, err)
	}
	sum, err := hashFile(ctx, r, path, d.hash())
	if err != nil {
		return NotKnown[bool](d.from, err)
	}
	return Read(strings.EqualFold(sum, d.hex), d.from)
}

func hashFile(ctx context.Context, r Root, path string, h hash.Hash) (string, error) {
	at, err := r.Path(path)
	if err != nil {
		return "", err
	}
	fi, err := os.Stat(at)
	switch {
	case err != nil:
		return "", err
	case !fi.Mode().IsRegular():
		return "", fmt.Errorf("%s: %w", path, ErrNotRegular)
	case fi.Size() > maxHashed:
		return "", fmt.Errorf("%s: %d bytes, %w", path, fi.Size(), ErrTooLarge)
	}
	f, err := os.Open(at)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := io.Copy(h, io.LimitReader(untilDone{ctx, f}, maxHashed)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// untilDone reads until its context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
