package host

import (
	"path/filepath"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
)

const (
	bootedPath = "/run/systemd/system" // there while systemd is the init system: sd_booted(3)
	commPath   = "/proc/1/comm"
	initPath   = "/sbin/init"
)

// inits maps what /sbin/init leads to, or the name of process 1, to an init system.
var inits = map[string]string{
	"systemd": "systemd", "init": "sysvinit", "openrc-init": "openrc", "upstart": "upstart", "runit": "runit",
	"runit-init": "runit", "s6-svscan": "s6", "busybox": "busybox", "dinit": "dinit",
}

// initSystem reads which init system runs, or which one an image boots.
func initSystem(r Root) Reading[Init] {
	if !r.Live() {
		return bootInit(r)
	}
	booted, err := r.exists(bootedPath)
	if err != nil {
		return NotKnown[Init](bootedPath, err)
	}
	if booted {
		return Read(Init{Name: "systemd", Running: true}, bootedPath)
	}
	b, err := r.ReadFile(commPath, 4<<10)
	if err != nil {
		return NotKnown[Init](commPath, err)
	}
	return process1(r, strings.TrimSpace(string(b)))
}

// process1 tells by the name of process 1. Named systemd without its run directory it belongs to the host around a chroot,
// and does not answer in here.
func process1(r Root, comm string) Reading[Init] {
	if comm == "init" {
		if boot := bootInit(r); boot.Err == nil && boot.Value.Name != "none" && boot.Value.Name != "systemd" {
			return Read(Init{Name: boot.Value.Name, Running: true}, commPath+", "+boot.From)
		}
		return Read(Init{Name: "init"}, commPath)
	}
	name, ok := inits[comm]
	if !ok {
		return Read(Init{Name: comm}, commPath)
	}
	return Read(Init{Name: name, Running: name != "systemd"}, commPath)
}

// bootInit tells by what /sbin/init is.
func bootInit(r Root) Reading[Init] {
	for _, name := range []string{initPath, "/usr/lib/systemd/systemd", "/lib/systemd/systemd"} {
		path, err := r.Path(name)
		if err != nil {
			return NotKnown[Init](name, err)
		}
		fi, err := r.Stat(name)
		if securejoin.IsNotExist(err) {
			continue
		}
		if err != nil {
			return NotKnown[Init](name, err)
		}
		if !fi.Mode().IsRegular() {
			return NotKnown[Init](name, regular(path, fi))
		}
		base := filepath.Base(path)
		if known, ok := inits[base]; ok {
			base = known
		}
		return Read(Init{Name: base}, name)
	}
	return Read(Init{Name: "none"}, initPath)
}
