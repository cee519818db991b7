package kmod

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// Cause is why the kernel did not take a module.
type Cause string

// Causes.
const (
	Unsigned        Cause = "unsigned"         // it has no signature, and the kernel asks for one
	UnknownKey      Cause = "unknown-key"      // it is signed by a key that the kernel does not trust
	BadSignature    Cause = "bad-signature"    // its content is not what was signed
	LockedDown      Cause = "lockdown"         // as Unsigned and UnknownKey, asked for by lockdown(7)
	LoadingDisabled Cause = "loading-disabled" // sysctl kernel.modules_disabled
	OtherKernel     Cause = "other-kernel"     // it was built for another one: version magic, or the version of a symbol
	UnknownSymbol   Cause = "unknown-symbol"   // it needs what the kernel does not have, or a module that is not loaded
	BadFormat       Cause = "bad-format"       // it is no module for this kernel for another reason
	NameTaken       Cause = "name-taken"       // another module of its name is loaded
	AlreadyLoaded   Cause = "already-loaded"   // the very same is loaded
	NoMemory        Cause = "no-memory"
	SELinuxRefused  Cause = "selinux" // the policy denies module_load
	NotPermitted    Cause = "not-permitted"
	Unexplained     Cause = "unexplained"
)

// Refusal is what is known of why.
type Refusal struct { //nolint:errname // it is kept as a fact, told and judged by its cause; an error is the least of it
	Cause  Cause
	Detail string   // what was read: the symbol, the version magic, the mode
	Said   []string // what the kernel said to it, as it stands in its log
	Module string
	File   string
	Err    error // of finit_module(2)
}

func (r *Refusal) Error() string {
	s := "load kernel module " + r.Module + " from " + r.File + ": " + string(r.Cause)
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	s += ": " + r.Err.Error()
	if len(r.Said) > 0 {
		s += " (kernel: " + strings.Join(r.Said, "; ") + ")"
	}
	return s
}

func (r *Refusal) Unwrap() error { return r.Err }

// refusalOf is the refusal in an error, nil if there is none.
func refusalOf(err error) *Refusal {
	var r *Refusal
	errors.As(err, &r)
	return r
}

var causeTexts = map[Cause]fault.Text{
	Unsigned:        {EN: "it is not signed, and this kernel loads signed modules only", JA: "署名がなく、このカーネルは署名済みのモジュールしかロードしません"},
	UnknownKey:      {EN: "the kernel does not trust the key that it is signed with", JA: "署名に使われた鍵がカーネルに信頼されていません"},
	BadSignature:    {EN: "its content does not match its signature", JA: "内容が署名と一致しません"},
	LockedDown:      {EN: "the kernel is locked down and loads only modules that are signed with a key that it trusts", JA: "カーネルがロックダウンされており、信頼された鍵で署名されたモジュールしかロードしません"},
	LoadingDisabled: {EN: "loading of modules was turned off until the next boot", JA: "次回起動までモジュールのロードが禁止されています"},
	OtherKernel:     {EN: "it was built for another kernel", JA: "別のカーネル向けにビルドされています"},
	UnknownSymbol:   {EN: "it needs a symbol that this kernel does not have", JA: "このカーネルにないシンボルを必要とします"},
	BadFormat:       {EN: "the kernel cannot read it as a module", JA: "カーネルがモジュールとして認識できません"},
	NameTaken:       {EN: "another module of this name is loaded", JA: "同名の別のモジュールがロードされています"},
	AlreadyLoaded:   {EN: "it is loaded already", JA: "すでにロードされています"},
	NoMemory:        {EN: "the kernel had no memory for it", JA: "カーネルのメモリーが不足しています"},
	SELinuxRefused:  {EN: "the SELinux policy does not let this service load modules", JA: "SELinux ポリシーがこのサービスによるモジュールのロードを許可していません"},
	NotPermitted:    {EN: "this process may not load modules", JA: "このプロセスにはモジュールをロードする権限がありません"},
	Unexplained:     {EN: "the kernel does not say why", JA: "カーネルは理由を示していません"},
}

// Text is the reason for people, without the detail.
func (r *Refusal) Text() fault.Text { return causeTexts[r.Cause] }

// Words is the reason with what was read and what the kernel said, which is as it stands there.
func (r *Refusal) Words() fault.Text {
	t := r.Text()
	more := ""
	for _, part := range []string{r.Detail, r.Err.Error()} {
		if part != "" {
			more += ": " + part
		}
	}
	t.EN += more
	t.JA += more
	if len(r.Said) > 0 {
		said := strings.Join(r.Said, "; ")
		t = fault.Text{EN: t.EN + " (the kernel: " + said + ")", JA: t.JA + " (カーネル: " + said + ")"}
	}
	return t
}

// Try is one that failed, with what was read around it.
type Try struct {
	Err      error // of Load
	Messages []KernelMessage
	Asked    host.ModuleLoading
	Module   host.Reading[ModuleInfo]    // of the .ko
	Loaded   host.Reading[*LoadedModule] // of the same name; looked for where the errno is EEXIST
	// Forbidden is why SELinux is known to let this process load no module out of the file. Its denial is in the kernel's messages only where no audit daemon
	// takes it, and may come there later than the errno.
	Forbidden error
}

// said is a line of the kernel's that tells a cause; what it has in parentheses is the detail. That of a module begins with the module's name.
// Formats: kernel/module/main.c, signing.c and version.c of 5.10 to 6.12, security/lockdown/lockdown.c, and audit's for SELinux.
type said struct {
	line  *regexp.Regexp
	cause Cause
}

// sayings are in the order in which they decide: of a symbol whose version differs the kernel then says also that it is unknown.
var sayings = []said{
	{regexp.MustCompile(`^Lockdown: .*: (unsigned module loading) is restricted`), LockedDown},
	{regexp.MustCompile(`^(Loading of unsigned module) is rejected`), Unsigned},
	{regexp.MustCompile(`^(Loading of module with (?:unavailable key|unsupported crypto)) is rejected`), UnknownKey},
	{regexp.MustCompile(`avc:  ?denied  ?\{ [^}]*(?:module_load|sys_module)[^}]*\} .*(scontext=\S+)`), SELinuxRefused},
	{regexp.MustCompile(`^(Invalid ELF .*)`), BadFormat},
	{regexp.MustCompile(`^NAME: (version magic '.*' should be '.*')`), OtherKernel},
	{regexp.MustCompile(`^NAME: (disagrees about version of symbol \S+)`), OtherKernel},
	{regexp.MustCompile(`^NAME: (Unknown symbol \S+)`), UnknownSymbol},
}

// errnos decide where the kernel said nothing.
var errnos = []struct {
	errno unix.Errno
	cause Cause
}{
	{unix.EEXIST, NameTaken}, {unix.ENOMEM, NoMemory}, {unix.EKEYREJECTED, BadSignature}, {unix.EBADMSG, BadSignature}, {unix.ENOKEY, UnknownKey},
	{unix.ENOENT, UnknownSymbol}, {unix.ENOEXEC, BadFormat}, {unix.EACCES, NotPermitted}, {unix.EPERM, NotPermitted},
}

// Explain finds the cause of a failed try. It reads nothing itself.
func Explain(t Try) *Refusal {
	r := &Refusal{Cause: Unexplained, Err: t.Err}
	var load *LoadError
	if errors.As(t.Err, &load) {
		r.Module, r.File, r.Err = load.Module, load.File, load.Err
	}
	for _, e := range errnos {
		if errors.Is(t.Err, e.errno) {
			r.Cause = e.cause
			break
		}
	}
	r.listen(t.Messages)
	r.reconsider(t)
	return r
}

// listen keeps what the kernel said of the module, and takes its word for the cause. Other modules may be loaded at the same time: what begins with
// another name is not about this one.
func (r *Refusal) listen(messages []KernelMessage) {
	decided := len(sayings)
	for _, m := range messages {
		about := strings.HasPrefix(m.Text, r.Module+": ")
		for i, s := range sayings {
			text := m.Text
			if about {
				text = "NAME" + strings.TrimPrefix(text, r.Module)
			}
			found := s.line.FindStringSubmatch(text)
			if found == nil {
				continue
			}
			about = true
			if i < decided {
				decided, r.Cause, r.Detail = i, s.cause, found[1]
			}
			break
		}
		if about && len(r.Said) < maxSaid {
			r.Said = append(r.Said, m.Text)
		}
	}
}

const maxSaid = 16

// reconsider tells apart by what was read what one errno stands for.
func (r *Refusal) reconsider(t Try) {
	signed := !t.Module.Known() || t.Module.Value.Signed
	switch r.Cause {
	case NotPermitted:
		r.whoForbids(t)
	case LockedDown:
		if l := t.Asked.Lockdown; l.Known() {
			r.Detail = "lockdown: " + string(l.Value)
		}
	case BadSignature, UnknownKey:
		if !signed { // kernels before 5.2, and some that log nothing, have one errno for all
			r.Cause = Unsigned
		}
		if r.Cause == BadSignature {
			r.Detail = r.File
		}
	case NameTaken:
		r.sameName(t)
	case BadFormat:
		switch m := t.Module; {
		case r.Detail != "":
		case !m.Known():
			r.Detail = m.Err.Error()
		default:
			r.Detail = "built for " + m.Value.VersionMagic
		}
	case UnknownSymbol:
		if m := t.Module; r.Detail == "" && m.Known() && len(m.Value.Depends) > 0 {
			r.Detail = "it depends on " + strings.Join(m.Value.Depends, ", ")
		}
	}
}

// whoForbids tells apart who refuses a process that the kernel only says has no permission.
func (r *Refusal) whoForbids(t Try) {
	d := t.Asked.Disabled
	switch {
	case errors.Is(r.Err, unix.EPERM) && d.Known() && d.Value:
		r.Cause, r.Detail = LoadingDisabled, d.From+" is 1"
	case t.Forbidden != nil:
		r.Cause, r.Detail = SELinuxRefused, t.Forbidden.Error()
	case r.silentLockdown(t):
		r.Cause, r.Detail = LockedDown, "lockdown: "+string(t.Asked.Lockdown.Value)
	}
}

// silentLockdown reports whether lockdown is why though the kernel did not say so, whose message is rate-limited and may be lost. A process without the right
// to load modules gets the same errno; one that loads as the service does has it.
func (r *Refusal) silentLockdown(t Try) bool {
	lockdown, module := t.Asked.Lockdown, t.Module
	return errors.Is(r.Err, unix.EPERM) && lockdown.Known() && lockdown.Value != host.NoLockdown && module.Known() && !module.Value.Signed
}

// sameName tells the very same module from another one, by the hash of its sources.
func (r *Refusal) sameName(t Try) {
	loaded := t.Loaded
	if !loaded.Known() || loaded.Value == nil {
		return
	}
	l := loaded.Value
	if own := t.Module; own.Known() && own.Value.SourceVersion != "" && l.SourceVersion != "" {
		if own.Value.SourceVersion == l.SourceVersion {
			r.Cause = AlreadyLoaded
			return
		}
		r.Detail = "srcversion " + l.SourceVersion + ", ours is " + own.Value.SourceVersion
	}
	if l.File != "" {
		r.Detail = strings.TrimPrefix(r.Detail+", "+l.File, ", ")
	}
}

// AsksSignature reports whether a signature by a key that the kernel trusts would help. One whose signature does not match is not signed anew: nobody
// knows what is in it.
func (c Cause) AsksSignature() bool {
	return slices.Contains([]Cause{Unsigned, UnknownKey, LockedDown}, c)
}
