package main

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/files"

	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan/definitions"
	"github.com/ampconnector/amp/kmod"
	"github.com/ampconnector/amp/selinux"
)

const (
	binDir   = "/opt/cisco/amp/bin"
	unitFile = "/usr/lib/systemd/system/cisco-amp.service"
	// defaultPolicy is what a .deb copies the policy from.
	defaultPolicy = "/opt/cisco/amp/share/policy.xml"
	// kernelPlugin is called by kernel-install(8), of Fedora, Enterprise Linux and wherever systemd-boot is.
	kernelPlugin = "/usr/lib/kernel/install.d/95-amp-connector.install"
	vendorName   = "ciscoampconnector"
	maintainer   = "The AMP connector authors <maintainers@ampconnector.invalid>"
	revision     = "1" // of the packaging of one version
)

// kernelHooks are called by Debian's kernel packages and header packages, with the release (Debian Kernel Handbook, "Hook scripts").
var kernelHooks = []string{"/etc/kernel/postinst.d/zz-amp-connector", "/etc/kernel/header_postinst.d/zz-amp-connector"}

// spec is one package, the same for every format and architecture.
type spec struct {
	name        string
	summary     string // one line
	description string // Debian's extended description: lines without leading blank
	programs    []string
	commands    []string // programs that have a symlink in /usr/bin
	manuals     []string // files/man/NAME
	service     bool     // brings the daemon: unit, policy, logs, hooks
}

var specs = map[string]spec{
	"amp-connector": {
		name:    "amp-connector",
		summary: "endpoint monitoring connector with eBPF event sources",
		description: "The connector watches what is executed on a host through eBPF programs,\n" +
			"judges by itself whether it works as designed, and raises a numbered fault\n" +
			"with evidence where it does not. It brings the commands ampcli (status and\n" +
			"events) and amp-remediate (diagnose and mend a fault).",
		programs: programs,
		commands: []string{"ampcli", "amp-remediate", "amp-install"},
		manuals:  []string{"ampcli.8", "amp-remediate.8", "amp-install.8"},
		service:  true,
	},
	"amp-remediate": {
		name:    "amp-remediate",
		summary: "diagnose and mend faults of an AMP connector",
		description: "The command amp-remediate checks a host for the numbered conditions that\n" +
			"keep its connector from working as designed, shows the evidence, and mends\n" +
			"them step by step. This package is for hosts that run another vendor's\n" +
			"connector; amp-connector contains the same command.",
		programs: []string{"amp-remediate"},
		commands: []string{"amp-remediate"},
		manuals:  []string{"amp-remediate.8"},
	},
}

// relations fills in what a package needs, holds and excludes. RPM dependencies name files, since distributions name the
// packages differently; what the hooks can do without is only recommended, and its absence is a fault with a remedy.
func (s spec) relations(info *nfpm.Info, format, version string) {
	if format == "deb" {
		info.Recommends = []string{"policycoreutils"}
		if !s.service {
			return
		}
		info.Depends = []string{"passwd", "libc6"}
		info.Recommends = append(info.Recommends, "logrotate", "libclamav12 | libclamav11 | libclamav9")
		// All three on one name: the Debian Policy's way (7.6.2) to replace a whole package in one apt transaction.
		info.Provides = []string{"amp-remediate (= " + version + ")"}
		info.Replaces = []string{"amp-remediate"}
		info.Conflicts = []string{"amp-remediate", vendorName}
		return
	}
	info.Recommends = []string{"/usr/sbin/semodule"}
	if !s.service {
		return
	}
	// The scan engine's library is called one way by Fedora and EPEL, the other by SUSE.
	info.Recommends = append(info.Recommends, "logrotate", "clamav-lib", "libclamav12")
	info.Depends = []string{"/bin/sh", "/usr/sbin/groupadd", "/usr/sbin/useradd"}
	info.Provides = []string{"amp-remediate = " + version}
	info.Replaces = []string{"amp-remediate < " + version}
	info.Conflicts = []string{vendorName}
}

// contents lists the files and folders of the package; stage is where fill has put them. Each folder of ours is listed, so
// that the package owns it with its mode (an unlisted one is nobody's in an rpm).
func (s spec) contents(stage, product, format string) files.Contents {
	c := files.Contents{}
	for _, d := range s.folders() {
		c = append(c, &files.Content{Destination: d.Path, Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Owner: d.Owner, Group: d.Group, Mode: d.Mode}})
	}
	for _, p := range s.programs {
		c = append(c, file(stage, path.Join(binDir, p), 0o755))
	}
	for _, p := range s.commands {
		if to := otherNames[p]; to != "" {
			c = append(c, link(path.Join(binDir, p), to))
		}
		c = append(c, link("/usr/bin/"+p, path.Join(binDir, p)))
	}
	for _, m := range s.manuals {
		c = append(c, typed(file(stage, "/usr/share/man/man8/"+m+".gz", 0o644), format, files.TypeRPMDoc))
	}
	c = append(c, s.completions(stage, format)...)
	if s.service {
		c = append(c,
			file(stage, unitFile, 0o644),
			file(stage, selinux.PackagedPath, 0o644),
			&files.Content{Destination: definitions.BuiltInDir, Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: 0o755}})
		c = append(c, builtIn(stage)...)
		c = append(c,
			policyFile(stage, format),
			typedAlways(file(stage, "/etc/logrotate.d/cisco-amp", 0o644), files.TypeConfigNoReplace))
		c = append(c, kernelCalls(stage, format)...)
		c = append(c, moduleSources(stage, product)...)
	}
	if format == "deb" {
		return append(c,
			file(stage, "/usr/share/doc/"+s.name+"/copyright", 0o644),
			file(stage, "/usr/share/lintian/overrides/"+s.name, 0o644))
	}
	licences := "/usr/share/licenses/" + s.name
	return append(c,
		&files.Content{Destination: licences, Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Mode: 0o755}},
		typedAlways(file(stage, licences+"/LICENSE", 0o644), files.TypeRPMLicense))
}

// policyFile is the policy of a new host. An rpm has it in its place. A .deb has it beside, for postinst to copy: the vendor's connector, of whose package it
// is no file, has its policy in the same place, and dpkg removes a conffile on purge before any script runs, whoever uses it by then.
func policyFile(stage, format string) *files.Content {
	c := file(stage, policy.Path, 0o644)
	if format == "deb" {
		c.Destination = defaultPolicy
		return c
	}
	return typedAlways(c, files.TypeConfigNoReplace)
}

// kernelCalls are the files by which the packages of a kernel have the connector look at it before it boots.
func kernelCalls(stage, format string) files.Contents {
	var c files.Contents
	if format == "rpm" { // the folders are those of systemd too, which a minimal host may not have: who owns nothing leaves them behind
		for _, dir := range []string{"/usr/lib/kernel", path.Dir(kernelPlugin)} {
			c = append(c, &files.Content{Destination: dir, Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: 0o755}})
		}
		return append(c, file(stage, kernelPlugin, 0o755))
	}
	for _, hook := range kernelHooks {
		c = append(c, typedAlways(file(stage, hook, 0o755), files.TypeConfigNoReplace))
	}
	return c
}

// moduleSources are what DKMS can build the kernel modules of. Nothing registers them with it: most hosts use eBPF, and would compile at each new kernel for
// nothing. Nor is dkms recommended, which brings a compiler.
func moduleSources(stage, product string) files.Contents {
	dir := kmod.DKMSFolder(product)
	c := files.Contents{&files.Content{Destination: dir, Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: 0o755}}}
	for _, name := range slices.Sorted(maps.Keys(kmod.DKMSTree(product))) {
		c = append(c, file(stage, path.Join(dir, name), 0o644))
	}
	return c
}

// folders are the directories that the package owns: for the connector the table that fault 5 judges them by, so that what
// is packaged and what is expected cannot differ.
func (s spec) folders() []host.Directory {
	var ours []host.Directory
	for _, d := range host.Connectors[0].Directories {
		if s.service || d.Path == "/opt/cisco" || d.Path == "/opt/cisco/amp" || d.Path == binDir {
			ours = append(ours, d)
		}
	}
	if s.service {
		ours = append(ours, host.Directory{Path: path.Dir(selinux.PackagedPath), Mode: 0o755, Owner: "root", Group: "root"})
	}
	return ours
}

// builtIn are the definitions that the scan service starts with on a new host.
func builtIn(stage string) files.Contents {
	names, err := fs.Glob(definitions.BuiltIn(), "*")
	if err != nil {
		panic(err) // the pattern is right
	}
	var c files.Contents
	for _, name := range names {
		c = append(c, file(stage, path.Join(definitions.BuiltInDir, name), 0o644))
	}
	return c
}

func file(stage, destination string, mode fs.FileMode) *files.Content {
	return &files.Content{
		Source: stage + destination, Destination: destination,
		FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode},
	}
}

// link is a symbolic link. Mode and size are set, because nfpm looks at the target on the building machine for what is not: a
// package would differ where an earlier one is installed.
func link(destination, target string) *files.Content {
	return &files.Content{
		Source: target, Destination: destination, Type: files.TypeSymlink,
		FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: 0o777, Size: int64(len(target))},
	}
}

// typed marks a file with a type that only rpm knows; other formats would drop it.
func typed(c *files.Content, format, t string) *files.Content {
	if format == "rpm" {
		c.Type = t
	}
	return c
}

func typedAlways(c *files.Content, t string) *files.Content {
	c.Type = t
	return c
}

// scripts are the maintainer scripts, which nfpm reads from files.
func (s spec) scripts(info *nfpm.Info, dir, format string) {
	at := func(name string) string { return path.Join(dir, "scripts", name) }
	switch {
	case !s.service && format == "deb":
		info.Scripts.PostRemove = at("tool.deb.postrm")
	case !s.service:
	case format == "deb":
		info.Scripts = nfpm.Scripts{PreInstall: at("deb.preinst"), PostInstall: at("deb.postinst"), PreRemove: at("deb.prerm"), PostRemove: at("deb.postrm")}
	default:
		info.Scripts = nfpm.Scripts{PreInstall: at("rpm.pre"), PostInstall: at("rpm.post"), PreRemove: at("rpm.preun"), PostRemove: at("rpm.postun")}
		info.RPM.Scripts.PostTrans = at("rpm.posttrans")
	}
}

// info is the package as nfpm takes it.
func (s spec) info(o options, stage, format, arch string, at time.Time) *nfpm.Info {
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: s.name, Arch: arch, Platform: "linux", Version: o.Version, Release: revision,
		Section: "admin", Priority: "optional",
		Maintainer:  maintainer,
		Description: s.summary + "\n" + s.description,
		Vendor:      "The AMP connector authors",
		Homepage:    "https://github.com/ampconnector/amp",
		License:     "Apache-2.0",
		Changelog:   path.Join(stage, "changelog.yaml"),
		MTime:       at,
		// nfpm would expand "*" and "{" in names; none of ours has them.
		DisableGlobbing: true,
	})
	info.Umask = 0o022
	info.Deb.Compression, info.RPM.Compression = "xz", "xz"
	info.RPM.BuildHost = "localhost" // the builder's name is not the package's business, and would change its bytes
	info.RPM.Group = "System Environment/Daemons"
	info.RPM.Summary = strings.ToUpper(s.summary[:1]) + s.summary[1:] // each distribution's custom
	s.relations(info, format, fullVersion(o.Version))
	info.Contents = s.contents(stage, o.Version, format)
	s.scripts(info, stage, format)
	if o.SignKey != "" {
		info.Deb.Signature.KeyFile, info.Deb.Signature.KeyPassphrase = o.SignKey, o.Pass
		info.RPM.Signature.KeyFile, info.RPM.Signature.KeyPassphrase = o.SignKey, o.Pass
	}
	return info
}
