package bpf

import (
	"maps"
	"slices"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

var (
	createKinds     = monitor.KindsOf(monitor.FileCreate)
	writeKinds      = monitor.KindsOf(monitor.FileWrite)
	renameKinds     = monitor.KindsOf(monitor.FileRename)
	linkKinds       = monitor.KindsOf(monitor.FileLink)
	deleteKinds     = monitor.KindsOf(monitor.FileDelete)
	attributesKinds = monitor.KindsOf(monitor.FileAttributes)
	mapKinds        = monitor.KindsOf(monitor.FileMap)
	copyKinds       = monitor.KindsOf(monitor.FileCopy)
)

// fileHooks are the programs of file.c.
var fileHooks = slices.Concat(
	filePlace("want_write", "mnt_want_write", createKinds|renameKinds|linkKinds|deleteKinds|attributesKinds, monitor.FileCreate, true),
	filePlace("want_write_file", "mnt_want_write_file", attributesKinds, monitor.FileAttributes, true),
	filePlace("open", "security_file_open", createKinds, monitor.FileCreate, false),
	filePlace("fput", "__fput", writeKinds, monitor.FileWrite, false),
	filePlace("mmap", "security_mmap_file", mapKinds, monitor.FileMap, false),
	fileOperation("mkdir", "vfs_mkdir", monitor.FileCreate),
	fileOperation("mknod", "vfs_mknod", monitor.FileCreate),
	fileOperation("symlink", "vfs_symlink", monitor.FileCreate),
	fileOperation("rename", "vfs_rename", monitor.FileRename),
	fileOperation("link", "vfs_link", monitor.FileLink),
	fileOperation("unlink", "vfs_unlink", monitor.FileDelete),
	fileOperation("rmdir", "vfs_rmdir", monitor.FileDelete),
	filePlace("rmdir_late", "d_delete", deleteKinds, monitor.FileDelete, false),
	filePlace("rmdir_early", "security_inode_rmdir", deleteKinds, monitor.FileDelete, true),
	fileOperation("attributes", "notify_change", monitor.FileAttributes),
	fileOperation("copy_range", "vfs_copy_file_range", monitor.FileCopy),
	fileOperation("splice", "do_splice_direct", monitor.FileCopy),
	fileOperation("clone", "vfs_clone_file_range", monitor.FileCopy),
)

// filePlace is what hangs at the beginning of a kernel function.
func filePlace(name, function string, kinds monitor.Kinds, counted monitor.Kind, helper bool) []hook {
	return []hook{
		{object: "file_fentry", program: "amp_" + name + "_fentry", how: toFentry, to: function, sets: fentrySet, kinds: kinds, counted: counted, second: "file_fentry_second", helper: helper},
		{object: "file_kprobe", program: "amp_" + name + "_kprobe", how: toKprobe, to: function, sets: kprobeSet, kinds: kinds, counted: counted, helper: helper},
	}
}

// fileOperation is what hangs at the beginning and the end of one. The end comes first: what is attached in between is not told then.
func fileOperation(name, function string, kind monitor.Kind) []hook {
	kinds := monitor.KindsOf(kind)
	return append([]hook{
		{object: "file_fentry", program: "amp_" + name + "_fexit", how: toFexit, to: function, sets: fentrySet, kinds: kinds, counted: kind, second: "file_fentry_second"},
		{object: "file_kprobe", program: "amp_" + name + "_kretprobe", how: toKretprobe, to: function, sets: kprobeSet, kinds: kinds, counted: kind},
	}, filePlace(name, function, kinds, kind, true)...)
}

// fileCallHooks are the programs of file_calls.c, but for those whose calls the architecture does not have.
var fileCallHooks = slices.DeleteFunc([]hook{
	fileCall("open", toSysExit, oldCalls("open"), createKinds),
	fileCall("openat", toSysExit, "openat", createKinds),
	fileCall("openat2", toSysExit, "openat2 "+oldCalls("creat"), createKinds),
	fileCall("mkdir", toSysExit, oldCalls("mkdir mknod"), createKinds),
	fileCall("mkdirat", toSysExit, "mkdirat mknodat", createKinds),
	fileCall("symlink", toSysExit, oldCalls("symlink"), createKinds),
	fileCall("symlinkat", toSysExit, "symlinkat", createKinds),
	fileCall("rename", toSysExit, oldCalls("rename"), renameKinds),
	fileCall("renameat", toSysExit, "renameat renameat2", renameKinds),
	fileCall("link", toSysExit, oldCalls("link"), linkKinds),
	fileCall("linkat", toSysExit, "linkat", linkKinds),
	fileCall("unlink", toSysExit, oldCalls("unlink rmdir"), deleteKinds),
	fileCall("unlinkat", toSysExit, "unlinkat", deleteKinds),
	fileCall("chmod", toSysExit, oldCalls("chmod"), attributesKinds),
	fileCall("fchmodat", toSysExit, "fchmodat fchmodat2", attributesKinds),
	fileCall("chown", toSysExit, oldCalls("chown lchown"), attributesKinds),
	fileCall("fchownat", toSysExit, "fchownat", attributesKinds),
	fileCall("fchmod", toSysExit, "fchmod fchown", attributesKinds),
	fileCall("mmap", toSysExit, "mmap", mapKinds),
	fileCall("copy_file_range", toSysExit, "copy_file_range", copyKinds),
	fileCall("sendfile", toSysExit, "sendfile", copyKinds),
	fileCall("ioctl", toSysExit, "ioctl", copyKinds),
	fileCall("close", toSysEnter, "close", writeKinds),
	fileCall("dup2", toSysEnter, oldCalls("dup2 ")+"dup3", writeKinds),
	fileCall("close_range", toSysEnter, "close_range", writeKinds),
	{object: "file_calls", program: "amp_exit_closes", to: "sched_process_exit", sets: tracepointSet, kinds: writeKinds, counted: monitor.FileWrite},
}, func(h hook) bool { return h.to == "" })

func fileCall(name string, how attachment, calls string, kinds monitor.Kinds) hook {
	return hook{object: "file_calls", program: "amp_" + name + "_call", how: how, to: calls, sets: tracepointSet, kinds: kinds}
}

func init() { maps.Copy(callNumbers, fileCallNumbers) }

var fileBlindSpots = []blindSpot{
	{tracepointSet, monitor.BlindSpot{Kinds: monitor.FileKinds, What: fault.Text{
		EN: "What 32-bit programs do to files, and what is done through io_uring or by the kernel itself (NFS server)",
		JA: "32 ビットプログラム、io_uring、カーネル自身 (NFS サーバー) によるファイル操作",
	}}},
	{tracepointSet, monitor.BlindSpot{Kinds: renameKinds | linkKinds | deleteKinds | attributesKinds | createKinds, What: fault.Text{
		EN: "Which file it was, where a call names it by path: its inode is not known, the path may lead over symbolic links, and of mode and owner only what the call sets is known",
		JA: "パスで指定された操作の対象ファイル: inode は不明、パスはシンボリックリンクを経由する場合があり、モードと所有者は呼び出しが設定した値のみ",
	}}},
	{tracepointSet, monitor.BlindSpot{Kinds: writeKinds, What: fault.Text{
		EN: "Files that are closed by execve (O_CLOEXEC), by the end of a mapping or of a message on a socket, or as descriptor 256 or above by close_range or at the end of a process",
		JA: "execve (O_CLOEXEC)、マッピングの解除、ソケット経由のメッセージの破棄によって閉じられたファイル、および close_range またはプロセス終了時に閉じられた 256 番以降のファイル記述子",
	}}},
	{tracepointSet, monitor.BlindSpot{Kinds: mapKinds, What: fault.Text{
		EN: "What the kernel maps when it executes a program: the program itself and its loader",
		JA: "プログラムの実行時にカーネルがマップするファイル (プログラム本体とローダー)",
	}}},
	{fentrySet | kprobeSet, monitor.BlindSpot{Kinds: createKinds, What: fault.Text{
		EN: "Regular files made by mknod",
		JA: "mknod で作成された通常ファイル",
	}}},
	{anySet, monitor.BlindSpot{Kinds: mapKinds, What: fault.Text{
		EN: "Mappings that become executable later, by mprotect; further mappings of an unchanged file within a minute",
		JA: "mprotect により後から実行可能になるマッピング、および変更のないファイルの 1 分以内の再マッピング",
	}}},
	{anySet, monitor.BlindSpot{Kinds: writeKinds | createKinds, What: fault.Text{
		EN: "Files of proc, sysfs, cgroup, debugfs, tracefs, selinuxfs and the kernel's own mounts (pidfs), which hold nothing",
		JA: "proc、sysfs、cgroup、debugfs、tracefs、selinuxfs、およびカーネル内部のマウント (pidfs) のファイル (内容を保持しないもの)",
	}}},
	{anySet, monitor.BlindSpot{Kinds: copyKinds, What: fault.Text{
		EN: "Bytes that go through a pipe (splice), or through the process's own memory: the write of the target tells of those",
		JA: "パイプ (splice) またはプロセス自身のメモリを経由したコピー (コピー先への書き込みとして検出されます)",
	}}},
}
