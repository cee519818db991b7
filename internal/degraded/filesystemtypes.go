package degraded

import "strings"

// care is how the files of a type of file system are watched.
type care uint8

const (
	watched care = iota // all that are not listed
	pseudo              // no files that anybody stores: nothing to see
	devices             // device nodes: what is written to them is no file
	remote              // a server or a program answers, or does not: looking at it may block for ever
)

// filesystemTypes are the types that are not watched, by their name in mountinfo.
var filesystemTypes = map[string]care{
	"anon_inodefs": pseudo, "autofs": pseudo, "bdev": pseudo, "binder": pseudo, "binfmt_misc": pseudo, "bpf": pseudo, "cgroup": pseudo,
	"cgroup2": pseudo, "configfs": pseudo, "cpuset": pseudo, "debugfs": pseudo, "devpts": pseudo, "efivarfs": pseudo, "fusectl": pseudo,
	"hugetlbfs": pseudo, "ipathfs": pseudo, "mqueue": pseudo, "nfsd": pseudo, "nsfs": pseudo, "pipefs": pseudo, "proc": pseudo, "pstore": pseudo,
	"resctrl": pseudo, "rpc_pipefs": pseudo, "securityfs": pseudo, "selinuxfs": pseudo, "smackfs": pseudo, "sockfs": pseudo, "sysfs": pseudo,
	"tracefs": pseudo, "xenfs": pseudo,

	"devtmpfs": devices,

	"9p": remote, "afs": remote, "beegfs": remote, "ceph": remote, "cifs": remote, "coda": remote, "fuse": remote, "fuseblk": remote,
	"gfs2": remote, "gpfs": remote, "lustre": remote, "ncpfs": remote, "nfs": remote, "nfs4": remote, "ocfs2": remote, "orangefs": remote,
	"smb3": remote, "smbfs": remote, "vboxsf": remote, "virtiofs": remote, "vmhgfs": remote,
}

// careOf looks a type up. FUSE adds the program's own to it, after a dot.
func careOf(kind string) care {
	base, _, _ := strings.Cut(kind, ".")
	return filesystemTypes[base]
}
