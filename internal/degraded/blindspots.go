package degraded

import (
	"errors"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

// What each part can tell of.
var (
	namedKinds   = monitor.KindsOf(monitor.FileCreate, monitor.FileWrite, monitor.FileRename, monitor.FileLink, monitor.FileDelete, monitor.FileAttributes)
	plainKinds   = monitor.KindsOf(monitor.FileWrite)
	processKinds = monitor.KindsOf(monitor.Exec, monitor.Exit, monitor.Trace, monitor.Credentials)
	flowKinds    = monitor.NetworkKinds
)

// stateDirectory is where the connector keeps what it has, and does what it does to test its source.
const stateDirectory = "/var/lib/cisco/amp"

// Sees implements monitor.Source. Of files it says what is told of the root's and of the connector's own file system; others may be watched less
// well. Flows are not in it: short ones are told without their process.
func (s *source) Sees() monitor.Kinds {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kinds monitor.Kinds
	if s.processes != nil {
		kinds |= processKinds
	}
	if s.files != nil {
		kinds |= s.files.seenAt("/") & s.files.seenAt(stateDirectory)
	}
	// A link is told from a new file by what is found of it when the event is read: of one that is gone by then, only a new name is told.
	return kinds &^ monitor.KindsOf(monitor.FileLink)
}

// seenAt are the kinds that are told of files in a directory, or where it would be.
func (f *files) seenAt(directory string) monitor.Kinds {
	var st unix.Stat_t
	for unix.Stat(directory, &st) != nil && directory != "/" {
		directory = filepath.Dir(directory)
	}
	for _, s := range f.systems {
		var at unix.Stat_t // of btrfs, files do not have the device that mountinfo has
		if s.device != uint64(st.Dev) && (unix.Stat(s.at(s.points[0]), &at) != nil || at.Dev != st.Dev) {
			continue
		}
		return s.sees()
	}
	return 0
}

func (s *filesystem) sees() monitor.Kinds {
	switch s.how {
	case byName:
		return namedKinds
	case byDescriptor, byMount:
		return plainKinds
	}
	return 0
}

// always are the blind spots of parts that work.
var always = [...][]monitor.BlindSpot{
	partFiles: {
		{Kinds: monitor.KindsOf(monitor.FileMap), What: fault.Text{
			EN: "fanotify does not tell of files that are mapped executable",
			JA: "fanotify はファイルの実行可能マッピングを通知しません",
		}},
		{Kinds: monitor.KindsOf(monitor.FileCopy), What: fault.Text{
			EN: "fanotify does not tell of copies inside the kernel: the target is seen as written",
			JA: "fanotify はカーネル内のコピーを通知しません。コピー先は書き込みとして記録されます",
		}},
		{Kinds: namedKinds, What: fault.Text{
			EN: "Time, path and state of a file are those when the event was read, some milliseconds later: of a file whose directory was removed meanwhile only the name is known",
			JA: "ファイルの時刻、パス、状態はイベントを読み取った時点(数ミリ秒後)のものです。その間にディレクトリが削除された場合は、ファイル名だけがわかります",
		}},
		{Kinds: namedKinds, What: fault.Text{
			EN: "The kernel merges events of one process and one name that wait: how often, and in which order, is not told",
			JA: "カーネルは待機中の同じプロセス・同じ名前のイベントを 1 つにまとめるため、回数と順序はわかりません",
		}},
		{Kinds: monitor.KindsOf(monitor.FileAttributes), What: fault.Text{
			EN: "Times and extended attributes that are set are told as mode and owner are",
			JA: "時刻や拡張属性の変更も、モードや所有者の変更と同じイベントとして記録されます",
		}},
		{Kinds: monitor.KindsOf(monitor.FileLink), What: fault.Text{
			EN: "The former name of a linked file is known only if the file was made a short time before",
			JA: "ハードリンク元の名前は、そのファイルが直前に作成された場合にだけわかります",
		}},
		{Kinds: namedKinds, What: fault.Text{
			EN: "What was done in the moment between a mount and its being noticed is not seen, nor are file systems that are mounted in other mount namespaces only",
			JA: "マウントされてから検出されるまでの間の操作と、他のマウント名前空間にだけマウントされたファイルシステムは捕捉できません",
		}},
		{Kinds: namedKinds, What: fault.Text{
			EN: "When fanotify's queue overflows, the kernel does not tell how many events were lost: each overflow counts as one",
			JA: "fanotify のキューがあふれた場合、失われたイベントの数は通知されないため、あふれ 1 回を 1 件として数えます",
		}},
	},
	partProcesses: {
		{Kinds: monitor.KindsOf(monitor.Exec), What: fault.Text{
			EN: "What a process executes is read after it began: of one that ended or executed something else at once, arguments are missing or are those of the latter, on a busy host now and then the file too, and arguments beyond 512 bytes are cut",
			JA: "プロセスの実行内容は開始後に読み取られます。すぐに終了したり別のプログラムを実行したりした場合、引数は得られないか後者のものとなり、負荷の高いホストではまれにファイルも不明になります。512 バイトを超える引数は切り捨てられます",
		}},
		{Kinds: monitor.KindsOf(monitor.Exit), What: fault.Text{
			EN: "A process counts as ended when its first thread ends",
			JA: "プロセスは最初のスレッドが終了した時点で終了とみなされます",
		}},
		{Kinds: monitor.KindsOf(monitor.Credentials), What: fault.Text{
			EN: "The execution of a set-user-id program is told as a change of user too",
			JA: "set-user-ID プログラムの実行も、ユーザーの変更として記録されます",
		}},
		{Kinds: monitor.KindsOf(monitor.Trace), What: fault.Text{
			EN: "A process that lets its parent trace it (PTRACE_TRACEME) is not told, nor is writing to another's memory",
			JA: "親プロセスによるトレースを許可する操作(PTRACE_TRACEME)と、他プロセスのメモリへの書き込みは通知されません",
		}},
	},
	partFlows: {
		{Kinds: flowKinds, What: fault.Text{
			EN: "Open flows and listening sockets are looked for every second or, on hosts with many, up to every 30 seconds: shorter ones are told when they end, without their process, or, if they listen, not at all",
			JA: "開いているフローと待ち受けソケットは 1 秒ごと(多数ある場合は最長 30 秒ごと)に調べられます。それより短いフローは終了時にプロセスなしで記録され、短い待ち受けは記録されません",
		}},
		{Kinds: monitor.KindsOf(monitor.FlowOpen), What: fault.Text{
			EN: "Only UDP sockets that are connected to one peer are seen",
			JA: "UDP は、特定の相手に接続(connect)されたソケットだけを捕捉します",
		}},
		{Kinds: flowKinds, What: fault.Text{
			EN: "Sockets of other network namespaces are not seen",
			JA: "他のネットワーク名前空間のソケットは捕捉できません",
		}},
	},
}

// noPart are the kinds that nothing here tells of.
var noPart = monitor.BlindSpot{Kinds: monitor.KindsOf(monitor.ModuleLoad, monitor.BPFLoad), What: fault.Text{
	EN: "Modules and eBPF programs that are loaded are told by eBPF only",
	JA: "モジュールと eBPF プログラムのロードは eBPF によってのみ通知されます",
}}

var (
	missingPart = fault.Text{EN: "%s is not used: %s", JA: "%s は使用されていません: %s"}
	uncoveredAt = fault.Text{EN: "Files below %s (%s) are not seen: %s", JA: "%s 以下のファイル(%s)は捕捉されません: %s"}
	coveredLess = fault.Text{
		EN: "Of files below %s (%s) only writes are seen: %s",
		JA: "%s 以下のファイル(%s)は書き込みだけが捕捉されます: %s",
	}
	byMountOnly = fault.Text{
		EN: "Of files below %s (%s) only writes are seen, and those of other mount namespaces not: %s",
		JA: "%s 以下のファイル(%s)は書き込みだけが捕捉され、他のマウント名前空間での書き込みは捕捉されません: %s",
	}
	notRemote = fault.Text{
		EN: "file systems of this kind are not watched, since whoever serves them may not answer",
		JA: "この種類のファイルシステムは、提供元が応答しない可能性があるため監視されません",
	}
	onlyExecs = fault.Text{
		EN: "Without the process connector executions are told when the file is opened, as far as file systems are watched",
		JA: "プロセスコネクタがないため、実行は、監視対象のファイルシステムでファイルが開かれた時点で記録されます",
	}
	noEnds = fault.Text{
		EN: "The kernel does not tell when sockets end, so that short flows are not seen, and no bytes are known: %s",
		JA: "カーネルがソケットの終了を通知しないため、短いフローは捕捉されず、バイト数もわかりません: %s",
	}
	mountsUnread = fault.Text{EN: "What is mounted could not be read completely: %s", JA: "マウントの一覧を完全には読み取れませんでした: %s"}
)

// spotsMost bounds the file systems that are named one by one.
const spotsMost = 64

// BlindSpots implements monitor.Source.
func (s *source) BlindSpots() []monitor.BlindSpot {
	s.mu.Lock()
	defer s.mu.Unlock()
	spots := []monitor.BlindSpot{noPart}
	kinds := [...]monitor.Kinds{partFiles: monitor.FileKinds, partProcesses: processKinds, partFlows: flowKinds}
	for part, err := range s.missing {
		if err == nil {
			spots = append(spots, always[part]...)
			continue
		}
		reason, _ := reasonOf(part, err)
		spots = append(spots, monitor.BlindSpot{Kinds: kinds[part], What: missingPart.With(partNames[part], reason)})
	}
	if s.files != nil {
		if s.processes == nil {
			spots = append(spots, monitor.BlindSpot{Kinds: monitor.KindsOf(monitor.Exec), What: onlyExecs})
		}
		spots = append(spots, s.files.spots()...)
		if err := errors.Join(s.mountErr, s.files.mountErr); err != nil {
			spots = append(spots, monitor.BlindSpot{Kinds: namedKinds, What: mountsUnread.With(err)})
		}
	}
	if s.flows != nil && s.flows.noGroups != nil {
		spots = append(spots, monitor.BlindSpot{Kinds: flowKinds, What: noEnds.With(s.flows.noGroups)})
	}
	return spots
}

// spots are the file systems that are watched less well than others.
func (f *files) spots() (spots []monitor.BlindSpot) {
	for _, s := range f.systems {
		text, kinds := fault.Text{}, monitor.Kinds(0)
		switch s.how {
		case byName:
			continue
		case byDescriptor:
			text, kinds = coveredLess, namedKinds&^plainKinds
		case byMount:
			text, kinds = byMountOnly, namedKinds
		case uncovered:
			text, kinds = uncoveredAt, namedKinds
		}
		if len(spots) == spotsMost {
			break
		}
		spots = append(spots, monitor.BlindSpot{Kinds: kinds, What: text.With(s.points[0], s.kind, s.reason())})
	}
	return spots
}

func (s *filesystem) reason() fault.Text {
	if errors.Is(s.err, errRemote) {
		return notRemote
	}
	if s.err == nil {
		return fault.Text{}
	}
	return fault.Verbatim(strings.ReplaceAll(s.err.Error(), "\n", "; "))
}
