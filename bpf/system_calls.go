package bpf

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// Further attachments: to the start or the end of the system calls that hook.to names, programs/system_calls.c. Only where there are no
// functions to attach to: the kernel then goes a longer way in every call.
const (
	toSysEnter attachment = 100 + iota
	toSysExit
)

// callHooks are the programs that hand system calls on. Others' calls belong to kinds here too.
var callHooks = []hook{
	{object: "system_calls", program: "amp_sys_enter", to: "sys_enter", sets: tracepointSet, kinds: credentialKinds | writeKinds, helper: true},
	{object: "system_calls", program: "amp_sys_exit", to: "sys_exit", sets: tracepointSet, kinds: monitor.FileKinds | monitor.NetworkKinds | bpfKinds | traceKinds | credentialKinds, helper: true},
}

// callTables are the maps that have a program by the number of a call.
var callTables = map[attachment]string{toSysEnter: "sys_enters", toSysExit: "sys_exits"}

// callNumbers are those of the running architecture.
var callNumbers = map[string]uint32{
	"accept": unix.SYS_ACCEPT, "accept4": unix.SYS_ACCEPT4, "listen": unix.SYS_LISTEN,
	"sendto": unix.SYS_SENDTO, "sendmsg": unix.SYS_SENDMSG, "sendmmsg": unix.SYS_SENDMMSG,
	"recvfrom": unix.SYS_RECVFROM, "recvmsg": unix.SYS_RECVMSG, "recvmmsg": unix.SYS_RECVMMSG,
	"bpf": unix.SYS_BPF, "ptrace": unix.SYS_PTRACE, "process_vm_writev": unix.SYS_PROCESS_VM_WRITEV,
	"setuid": unix.SYS_SETUID, "setreuid": unix.SYS_SETREUID, "setresuid": unix.SYS_SETRESUID, "setfsuid": unix.SYS_SETFSUID,
	"setgid": unix.SYS_SETGID, "setregid": unix.SYS_SETREGID, "setresgid": unix.SYS_SETRESGID, "setfsgid": unix.SYS_SETFSGID,
}

// callLink is a program under the numbers of some calls.
type callLink struct {
	link.Link // none: it is here for its methods alone
	table     *ebpf.Map
	taken     *ebpf.Map // has 1 where the table has a program
	numbers   []uint32
}

// attachCalls puts a program into the table under the calls that h.to names, with spaces between them.
func (l *loaded) attachCalls(h *hook, p *ebpf.Program) (link.Link, error) {
	name := callTables[h.how]
	c := &callLink{table: l.maps[name], taken: l.maps[name+"_taken"]}
	if c.table == nil || c.taken == nil {
		return nil, errors.New("no program hands system calls on")
	}
	for _, name := range strings.Fields(h.to) {
		number, ok := callNumbers[name]
		if !ok {
			return nil, errors.Join(fmt.Errorf("the number of system call %s is not known", name), c.Close())
		}
		c.numbers = append(c.numbers, number)
		if err := errors.Join(c.table.Put(number, p), c.taken.Put(number, uint32(1))); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// Close implements link.Link.
func (c *callLink) Close() error {
	var err error
	for _, number := range c.numbers {
		err = errors.Join(err, c.taken.Put(number, uint32(0)))
		if e := c.table.Delete(number); !errors.Is(e, ebpf.ErrKeyNotExist) {
			err = errors.Join(err, e)
		}
	}
	c.numbers = nil
	return err
}
