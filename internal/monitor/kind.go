package monitor

import "fmt"

// Kind is what happened.
type Kind uint8

const (
	Exec           Kind = iota + 1 // a process executes a file
	Exit                           // the last thread of a process ended
	FileCreate                     // a file, directory, device or symbolic link came to be
	FileWrite                      // a file that was open for writing was closed for the last time
	FileRename                     // File has the new name Target
	FileLink                       // File has the further name Target
	FileDelete                     // a name was taken away
	FileAttributes                 // mode or owner was set
	FileMap                        // a file was mapped executable
	FileCopy                       // bytes went from File to Target inside the kernel
	FlowOpen                       // a TCP connection is established, or the first packet of a UDP flow passed
	FlowClose                      // a TCP connection ended
	Listen                         // a TCP socket waits for connections
	ModuleLoad                     // a kernel module was loaded
	BPFLoad                        // an eBPF program was loaded
	Trace                          // a process took hold of another: ptrace(2)
	Credentials                    // a running process changed its user
	Detection                      // a file was scanned and something was found in it; no source tells it
	kindEnd
)

// kindNames are the kinds as people, the policy and the command line know them.
var kindNames = [kindEnd]string{
	Exec: "exec", Exit: "exit",
	FileCreate: "create", FileWrite: "write", FileRename: "rename", FileLink: "link", FileDelete: "delete", FileAttributes: "attributes",
	FileMap: "map", FileCopy: "copy",
	FlowOpen: "open", FlowClose: "close", Listen: "listen",
	ModuleLoad: "module", BPFLoad: "bpf", Trace: "trace", Credentials: "credentials", Detection: "detection",
}

// String is the kind's name.
func (k Kind) String() string {
	if k == 0 || k >= kindEnd {
		return "unknown"
	}
	return kindNames[k]
}

// ParseKind reads a kind's name.
func ParseKind(name string) (Kind, error) {
	for k := Exec; k < kindEnd; k++ {
		if kindNames[k] == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("event kind %q, expected one of %v", name, kindNames[1:])
}

// Kinds is a set of kinds.
type Kinds uint32

// KindsOf is the set of those that are given.
func KindsOf(kinds ...Kind) Kinds {
	var s Kinds
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Has reports whether k is in the set.
func (s Kinds) Has(k Kind) bool { return s&(1<<k) != 0 }

// All gives the kinds of the set in their order.
func (s Kinds) All(yield func(Kind) bool) {
	for k := Exec; k < kindEnd; k++ {
		if s.Has(k) && !yield(k) {
			return
		}
	}
}

// What the switches of the policy ask for. Processes are always seen: they are the subject of all else.
var (
	ProcessKinds = KindsOf(Exec, Exit, ModuleLoad, BPFLoad, Trace, Credentials)
	FileKinds    = KindsOf(FileCreate, FileWrite, FileRename, FileLink, FileDelete, FileAttributes, FileMap, FileCopy)
	NetworkKinds = KindsOf(FlowOpen, FlowClose, Listen)
	// CriticalKinds go on while monitoring is reduced, and with them the file kinds below the system's directories.
	CriticalKinds = KindsOf(Exec, ModuleLoad, BPFLoad, Credentials, Listen)
)

// SystemDirectories are those below which changes of files are seen even while monitoring is reduced.
var SystemDirectories = []string{"/bin/", "/boot/", "/etc/", "/lib/", "/lib64/", "/sbin/", "/usr/", "/opt/cisco/", "/var/spool/cron/", "/root/"}
