package selinux

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/ampconnector/amp/internal/host"
)

const (
	configPath = "/etc/selinux/config"
	maxConfig  = 64 << 10 // bytes
)

// config is what selinux_config(5) says. Each half has its own error: a mode that nobody understands leaves the type readable.
type config struct {
	mode       Mode
	modeErr    error
	policyType string
	typeErr    error
}

var modes = []Mode{Enforcing, Permissive, Disabled}

// parseConfig reads selinux_config(5) as libselinux does (selinux_getenforcemode and init_selinux_config of 3.4): SELINUX= counts at the
// start of a line only, the first that names a mode wins, by prefix and in any case; SELINUXTYPE= may be indented and the last wins.
func parseConfig(name string, b []byte) config {
	c := config{policyType: "targeted"} // libselinux's SELINUXDEFAULT
	var odd string
	for i, line := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(line, "SELINUX="); ok && c.mode == "" {
			c.mode = modeNamed(v)
			if c.mode == "" && odd == "" {
				odd = fmt.Sprintf("line %d: SELINUX=%.40q", i+1, v)
			}
		}
		if v, ok := strings.CutPrefix(strings.TrimLeft(line, " \t\r\v\f"), "SELINUXTYPE="); ok {
			c.policyType, c.typeErr = strings.TrimRight(v, " \t\r\v\f"), nil
			if !validName(c.policyType) {
				c.typeErr = fmt.Errorf("%s: line %d: SELINUXTYPE=%.40q is not the name of a policy", name, i+1, v)
			}
		}
	}
	switch {
	case c.mode != "":
	case odd != "":
		c.modeErr = fmt.Errorf("%s: %s is not enforcing, permissive or disabled", name, odd)
	default:
		c.modeErr = fmt.Errorf("%s: no line SELINUX= that says enforcing, permissive or disabled", name)
	}
	return c
}

// modeNamed is the mode that a value of SELINUX= begins with, "" if none.
func modeNamed(v string) Mode {
	for _, m := range modes {
		if len(v) >= len(m) && strings.EqualFold(v[:len(m)], string(m)) {
			return m
		}
	}
	return ""
}

// configured reads the mode and the policy type that a host asks for. A host that has neither the file nor a policy under the default
// name has nothing to load: that is disabled, and not unknown.
func configured(r host.Root) (host.Reading[Mode], host.Reading[string]) {
	b, err := r.ReadFile(configPath, maxConfig)
	if err != nil {
		typ := host.NotKnown[string](configPath, err)
		if errors.Is(err, fs.ErrNotExist) {
			if _, err := r.Stat("/etc/selinux/targeted/policy"); errors.Is(err, fs.ErrNotExist) {
				return host.Read(Disabled, configPath+" (there is none, and no policy)"), typ
			}
		}
		return host.NotKnown[Mode](configPath, err), typ
	}
	c := parseConfig(configPath, b)
	return host.Reading[Mode]{Value: c.mode, From: configPath, Err: c.modeErr},
		host.Reading[string]{Value: c.policyType, From: configPath, Err: c.typeErr}
}
