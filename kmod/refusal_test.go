package kmod

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/host"
)

// refused is a try of the kernel to load ampfsm that failed, with what it said.
func refused(err error, said ...string) Try {
	t := Try{
		Err:    &LoadError{Module: FileModule, File: "/x/ampfsm.ko", Err: err},
		Module: host.Read(ModuleInfo{Name: FileModule, Signed: true, SourceVersion: "OURS", VersionMagic: "6.1.0-57-amd64 SMP preempt"}, "/x/ampfsm.ko"),
		Loaded: host.Read[*LoadedModule](nil, "/sys/module/ampfsm"),
	}
	for i, s := range said {
		t.Messages = append(t.Messages, KernelMessage{Sequence: uint64(i), Level: 5, Text: s})
	}
	return t
}

func unsigned(t Try) Try {
	t.Module.Value.Signed = false
	return t
}

func loaded(t Try, m LoadedModule) Try {
	t.Loaded = host.Read(&m, "/sys/module/ampfsm")
	return t
}

func forbidden(t Try) Try {
	t.Forbidden = errors.New("own_t has no right to module_load")
	return t
}

func asked(t Try, m host.ModuleLoading) Try {
	t.Asked = m
	return t
}

var (
	locked     = host.ModuleLoading{Disabled: host.Read(false, "/proc"), Lockdown: host.Read(host.LockdownIntegrity, "/sys/kernel/security/lockdown")}
	unlocked   = host.ModuleLoading{Disabled: host.Read(false, "/proc"), Lockdown: host.Read(host.NoLockdown, "/sys/kernel/security/lockdown")}
	lockUnread = host.ModuleLoading{Disabled: host.Read(false, "/proc"), Lockdown: host.NotKnown[host.Lockdown]("/sys/kernel/security/lockdown", unix.EACCES)}
	disabled   = host.ModuleLoading{Disabled: host.Read(true, "/proc/sys/kernel/modules_disabled")}
)

func TestExplain(t *testing.T) {
	for name, c := range map[string]struct {
		try    Try
		cause  Cause
		detail string
		said   int // lines that are quoted
	}{
		// Recorded in guests with Debian's 6.1 (6.1.0-57-amd64) under Secure Boot; the line of lockdown without a firmware, lockdown=integrity.
		"unsigned":              {unsigned(refused(unix.EKEYREJECTED, "Loading of unsigned module is rejected")), Unsigned, "Loading of unsigned module", 1},
		"signed by another key": {refused(unix.EKEYREJECTED, "Loading of module with unavailable key is rejected"), UnknownKey, "Loading of module with unavailable key", 1},
		"tampered":              {refused(unix.EKEYREJECTED), BadSignature, "/x/ampfsm.ko", 0},
		"lockdown":              {asked(unsigned(refused(unix.EPERM, "Lockdown: insmod: unsigned module loading is restricted; see man kernel_lockdown.7")), locked), LockedDown, "lockdown: integrity", 1},
		// Recorded in a guest without any of it.
		"version of a symbol": {refused(unix.EINVAL, "ampfsm: disagrees about version of symbol _printk", "ampfsm: Unknown symbol _printk (err -22)"), OtherKernel, "disagrees about version of symbol _printk", 2},
		"unknown symbol":      {refused(unix.ENOENT, "ampfsm: Unknown symbol amp_nowhere (err -2)"), UnknownSymbol, "Unknown symbol amp_nowhere", 1},
		"modules_disabled":    {asked(refused(unix.EPERM), disabled), LoadingDisabled, "/proc/sys/kernel/modules_disabled is 1", 0},
		"the very same":       {loaded(refused(unix.EEXIST), LoadedModule{FileModule, "OURS", ""}), AlreadyLoaded, "", 0},
		"no ELF file":         {refused(unix.ENOEXEC, "Invalid ELF header magic: != \\x7fELF"), BadFormat, "Invalid ELF header magic: != \\x7fELF", 1},
		"cut off":             {refused(unix.ENOEXEC, "Invalid ELF section header overflow"), BadFormat, "Invalid ELF section header overflow", 1},
		// Written by hand: what no guest of the lab does.
		"version magic":                             {refused(unix.ENOEXEC, "ampfsm: version magic '6.1.0-58-amd64 SMP ' should be '6.1.0-57-amd64 SMP '"), OtherKernel, "version magic '6.1.0-58-amd64 SMP ' should be '6.1.0-57-amd64 SMP '", 1},
		"signed, no log (4.4)":                      {refused(unix.ENOKEY), UnknownKey, "", 0},
		"unsigned, no log (4.4)":                    {unsigned(refused(unix.ENOKEY)), Unsigned, "", 0},
		"SELinux, its denial with the audit daemon": {forbidden(refused(unix.EACCES)), SELinuxRefused, "own_t has no right to module_load", 0},
		"SELinux, the capability":                   {refused(unix.EPERM, `audit: type=1400 audit(1.2:3): avc:  denied  { sys_module } for  pid=1 comm="amp" capability=16  scontext=system_u:system_r:own_t:s0 tcontext=system_u:system_r:own_t:s0 tclass=capability permissive=0`), SELinuxRefused, "scontext=system_u:system_r:own_t:s0", 1},
		"forbidden, and not signed before":          {forbidden(refused(unix.EKEYREJECTED, "Loading of unsigned module is rejected")), Unsigned, "Loading of unsigned module", 1},
		"SELinux":                                   {refused(unix.EACCES, `audit: type=1400 audit(1.2:3): avc:  denied  { module_load } for  pid=1 comm="amp" scontext=system_u:system_r:unconfined_service_t:s0 tcontext=x tclass=system permissive=0`), SELinuxRefused, "scontext=system_u:system_r:unconfined_service_t:s0", 1},
		"no capability":                             {refused(unix.EPERM), NotPermitted, "", 0},
		"no capability, sysctl unread":              {asked(refused(unix.EPERM), host.ModuleLoading{Disabled: host.NotKnown[bool]("", unix.EACCES)}), NotPermitted, "", 0},
		"lockdown, its message lost":                {asked(unsigned(refused(unix.EPERM)), locked), LockedDown, "lockdown: integrity", 0},
		"lockdown, and modules_disabled": {asked(unsigned(refused(unix.EPERM)), func() host.ModuleLoading {
			m := locked
			m.Disabled = disabled.Disabled
			return m
		}()), LoadingDisabled, "/proc/sys/kernel/modules_disabled is 1", 0},
		"lockdown, and SELinux":               {forbidden(asked(unsigned(refused(unix.EPERM)), locked)), SELinuxRefused, "own_t has no right to module_load", 0},
		"lockdown, and another errno":         {asked(unsigned(refused(unix.EACCES)), locked), NotPermitted, "", 0},
		"lockdown, and a signed module":       {asked(refused(unix.EPERM), locked), NotPermitted, "", 0},
		"no lockdown, and an unsigned module": {asked(unsigned(refused(unix.EPERM)), unlocked), NotPermitted, "", 0},
		"lockdown unread":                     {asked(unsigned(refused(unix.EPERM)), lockUnread), NotPermitted, "", 0},
		"lockdown, and a module that cannot be read": {func() Try {
			t := asked(refused(unix.EPERM), locked)
			t.Module = host.NotKnown[ModuleInfo]("", errBadSignature)
			return t
		}(), NotPermitted, "", 0},
		"memory":                           {refused(unix.ENOMEM), NoMemory, "", 0},
		"another one, of a package":        {loaded(refused(unix.EEXIST), LoadedModule{FileModule, "THEIRS", "/lib/modules/x/updates/ampfsm.ko"}), NameTaken, "srcversion THEIRS, ours is OURS, /lib/modules/x/updates/ampfsm.ko", 0},
		"another one without a srcversion": {loaded(refused(unix.EEXIST), LoadedModule{Name: FileModule}), NameTaken, "", 0},
		"it depends": {func() Try {
			t := refused(unix.ENOENT)
			t.Module.Value.Depends = []string{"nf_conntrack", "x"}
			return t
		}(), UnknownSymbol, "it depends on nf_conntrack, x", 0},
		"nothing known":                  {refused(unix.EIO, "usb 1-1: new device", "Loading of unsigned module"), Unexplained, "", 0},
		"what is said of another module": {refused(unix.ENOEXEC, "other: version magic 'a' should be 'b'", "ampfsmx: Unknown symbol x (err -2)"), BadFormat, "built for 6.1.0-57-amd64 SMP preempt", 0},
		"a file that is none": {func() Try {
			t := refused(unix.ENOEXEC)
			t.Module = host.NotKnown[ModuleInfo]("", errBadSignature)
			return t
		}(), BadFormat, errBadSignature.Error(), 0},
		"a kernel that talks without end": {refused(unix.EINVAL, slices.Repeat([]string{"ampfsm: Unknown symbol a (err -2)"}, 99)...), UnknownSymbol, "Unknown symbol a", maxSaid},
	} {
		r := Explain(c.try)
		if r.Cause != c.cause || r.Detail != c.detail || len(r.Said) != c.said || r.Module != FileModule {
			t.Errorf("%s: %s, %q, %q", name, r.Cause, r.Detail, r.Said)
		}
		var failed *LoadError
		if !errors.As(c.try.Err, &failed) {
			t.Fatalf("%s: %v, expected an error of loading", name, c.try.Err)
		}
		if text := r.Text(); text.EN == "" || text.JA == "" || !errors.Is(r, failed.Err) || !strings.Contains(r.Error(), string(c.cause)) {
			t.Errorf("%s: %+v, %v", name, text, r)
		}
		if r.Cause.AsksSignature() != slices.Contains([]Cause{Unsigned, UnknownKey, LockedDown}, r.Cause) {
			t.Errorf("%s: a signature helps, or not", name)
		}
	}
}
