package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// imagePrefix and headersPrefix begin the names of the packages of a kernel and of its headers, which end alike.
const imagePrefix, headersPrefix = "linux-image-", "linux-headers-"

// preferencesFile is where apt is told, while a guest with an older kernel is built, which version of it is meant.
const preferencesFile = "etc/apt/preferences.d/amp-lab-older"

// olderHooks are mmdebstrap's arguments for a guest that is to have the kernel before the newest, of the package sources in list. All packages that are
// made with a kernel have its version, and are taken in it; so are those that the guest can have. The newest, with its headers, is put beside these.
func (b *builder) olderHooks(ctx context.Context, g Guest, list string) ([]string, error) {
	options, err := b.aptFor(ctx, list)
	if err != nil {
		return nil, err
	}
	versions, err := b.versions(ctx, g.Kernel, options)
	if err != nil {
		return nil, err
	}
	older, err := beforeNewest(g.Kernel, versions)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(b.log, "%s: %s is before %s\n", g.Kernel, older, versions[0])
	pin := strings.NewReplacer("FILE", preferencesFile, "VERSION", older).Replace(
		`set -eu; mkdir -p "$(dirname "$1/FILE")"; printf 'Package: linux-*\nPin: version VERSION\nPin-Priority: 1001\n' > "$1/FILE"`)
	downloads := []string{fmt.Sprintf(`[ "$(dpkg-query --root "$1" -W -f '${Version}' %s)" = %s ]`, g.Kernel, older)}
	if len(g.CanHave) > 0 {
		downloads = append(downloads, downloadHook(g.CanHave))
	}
	// To go back, a host needs the package of the older version that stands for the kernel. The kernel itself it has.
	downloads = append(downloads, `(cd "$1/var/cache/apt/archives"; APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -qq -o APT::Sandbox::User=root download `+g.Kernel+`)`)
	newest := []string{g.Kernel, headersPrefix + strings.TrimPrefix(g.Kernel, imagePrefix)}
	downloads = append(downloads, `rm "$1/`+preferencesFile+`"`, downloadHook(newest))
	return []string{"--setup-hook=" + pin, "--customize-hook=" + repositoryHook(downloads...)}, nil
}

// aptFor makes the machine's apt ask the package sources in list and nothing else, with a state of its own, and reads what they have. What it gives are
// the first arguments of apt's commands.
func (b *builder) aptFor(ctx context.Context, list string) ([]string, error) {
	state := filepath.Join(b.scratch, "apt")
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(state, dir), 0o755); err != nil {
			return nil, err
		}
	}
	options := []string{"-qq", "-o", "APT::Sandbox::User=root", "-o", "APT::Update::Error-Mode=any", "-o", "Dir::State=" + filepath.Join(state, "state"), "-o", "Dir::State::status=/dev/null",
		"-o", "Dir::Cache=" + filepath.Join(state, "cache"), "-o", "Dir::Etc::SourceList=" + list, "-o", "Dir::Etc::SourceParts=/dev/null"}
	if _, err := b.run(ctx, "apt-get", append(slices.Clone(options), "update")...); err != nil {
		return nil, err
	}
	return options, nil
}

// versions are those in which a package can be had, the newest first; options are of aptFor.
func (b *builder) versions(ctx context.Context, name string, options []string) ([]string, error) {
	out, err := b.run(ctx, "apt-cache", append(slices.Clone(options), "madison", name)...)
	if err != nil {
		return nil, err
	}
	return madisonVersions(name, out), nil
}

// madisonVersions reads what apt-cache madison says of a package: a line a version and source, the newest version first.
func madisonVersions(name, said string) []string {
	var versions []string
	for line := range strings.Lines(said) {
		columns := strings.Split(line, "|")
		if len(columns) != 3 || strings.TrimSpace(columns[0]) != name || !strings.HasSuffix(strings.TrimSpace(columns[2]), " Packages") {
			continue
		}
		if v := strings.TrimSpace(columns[1]); !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	return versions
}

// beforeNewest is the second of a package's versions.
func beforeNewest(name string, versions []string) (string, error) {
	if len(versions) < 2 {
		return "", fmt.Errorf("older: the package sources have %d versions of %s (%s), expected two or more", len(versions), name, strings.Join(versions, ", "))
	}
	return versions[1], nil
}
