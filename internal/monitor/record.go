package monitor

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// MaxLine is the longest line of the event log, in bytes. What would make a longer one is clipped.
const MaxLine = 256 << 10

// Record is one line of the event log, read back. Times have milliseconds; bytes that are not UTF-8 are U+FFFD, but for those of paths.
type Record struct {
	Event
	Host string // device.hostname
}

// line is what ParseLine reads of a line.
type line struct {
	Time         int64  `json:"time"`
	Class        int    `json:"class_uid"`
	Activity     int    `json:"activity_id"`
	ActivityName string `json:"activity_name"`
	Count        uint32 `json:"count"`
	Device       struct {
		Hostname string `json:"hostname"`
	} `json:"device"`
	Actor struct {
		Process lineProcess `json:"process"`
	} `json:"actor"`
	Process    lineProcess `json:"process"`
	ExitCode   int         `json:"exit_code"`
	File       lineFile    `json:"file"`
	FileResult lineFile    `json:"file_result"`
	Module     struct {
		File lineFile `json:"file"`
	} `json:"module"`
	Driver struct {
		File lineFile `json:"file"`
	} `json:"driver"`
	Kernel struct {
		Name string `json:"name"`
	} `json:"kernel"`
	Connection struct {
		Protocol  uint8 `json:"protocol_num"`
		Direction int   `json:"direction_id"`
	} `json:"connection_info"`
	Source      lineEndpoint `json:"src_endpoint"`
	Destination lineEndpoint `json:"dst_endpoint"`
	Traffic     struct {
		In  uint64 `json:"bytes_in"`
		Out uint64 `json:"bytes_out"`
	} `json:"traffic"`
	Duration  int64          `json:"duration"`
	Malware   []lineMalware  `json:"malware"`
	Evidences []lineEvidence `json:"evidences"`
	Unmapped  lineUnmapped   `json:"unmapped"`
}

type lineProcess struct {
	PID     uint32   `json:"pid"`
	UID     string   `json:"uid"`
	Name    string   `json:"name"`
	Created *int64   `json:"created_time"`
	CmdLine string   `json:"cmd_line"`
	File    lineFile `json:"file"`
	User    struct {
		UID string `json:"uid"`
	} `json:"user"`
	EUID      uint32  `json:"euid"`
	AUID      *uint32 `json:"auid"`
	Container struct {
		UID string `json:"uid"`
	} `json:"container"`
	Parent struct {
		PID  uint32 `json:"pid"`
		Name string `json:"name"`
	} `json:"parent_process"`
	Lineage    []string `json:"lineage"`
	Attributes struct {
		Directory    string   `json:"working_directory"`
		DirectoryHex string   `json:"working_directory_hex"`
		Label        string   `json:"selinux_context"`
		Cgroup       uint64   `json:"cgroup_id"`
		Args         []string `json:"args"`
		Ancestors    []string `json:"ancestors"`
		linePath
	} `json:"xattributes"`
}

type lineFile struct {
	Path       string  `json:"path"`
	Name       string  `json:"name"`
	UID        string  `json:"uid"`
	Size       uint64  `json:"size"`
	Attributes *uint32 `json:"attributes"`
	Owner      struct {
		UID string `json:"uid"`
	} `json:"owner"`
}

// linePath is what is to be known of a path beside its text.
type linePath struct {
	PathHex       string `json:"path_hex"`
	PathTruncated bool   `json:"path_truncated"`
	PathJoined    bool   `json:"path_joined"`
}

type lineEndpoint struct {
	IP   string `json:"ip"`
	Port uint16 `json:"port"`
}

type lineUnmapped struct {
	Signal          int      `json:"signal"`
	Args            []string `json:"args"` // of an exec, until the process's xattributes had them
	ArgsTruncated   bool     `json:"args_truncated"`
	Executed        *string  `json:"executed"`
	Changed         int64    `json:"changed"`
	Group           *uint32  `json:"group"`
	TargetHex       string   `json:"target_hex"`
	TargetTruncated bool     `json:"target_truncated"`
	TargetJoined    bool     `json:"target_joined"`
	Request         uint32   `json:"request"`
	BPFType         uint32   `json:"bpf_type"`
	OldUID          uint32   `json:"old_uid"`
	OldEUID         uint32   `json:"old_euid"`
	Cause           string   `json:"cause"`
	Engine          string   `json:"engine"`
	Definitions     string   `json:"definitions"`
	Quarantined     string   `json:"quarantined"`
	LeftAlone       string   `json:"left_alone"`
	OtherNames      uint64   `json:"other_names"`
	linePath
}

// kindsByActivity are the kinds by what OCSF calls them.
var kindsByActivity = func() map[activity]Kind {
	m := map[activity]Kind{inject: Trace}
	for k := Exec; k < kindEnd; k++ {
		m[activities[k]] = k
	}
	return m
}()

// ParseLine reads one line of the event log. A line of another class or activity of OCSF than those that the log has, or that is longer
// than MaxLine, is an error.
func ParseLine(b []byte) (Record, error) {
	var l line
	if len(b) > MaxLine {
		return Record{}, fmt.Errorf("line of %d bytes, expected at most %d", len(b), MaxLine)
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return Record{}, err
	}
	kind, ok := kindsByActivity[activity{l.Class, l.Activity, l.ActivityName}]
	if !ok {
		return Record{}, fmt.Errorf("class_uid %d with activity_id %d %q is none of the connector's events", l.Class, l.Activity, l.ActivityName)
	}
	return l.record(kind)
}

// parser collects the first error of many fields.
type parser struct{ err error }

func (p *parser) fail(field string, err error) {
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("%s: %w", field, err)
	}
}

// orUnset is the number of a member, Unset where there is none.
func orUnset(n *uint32) uint32 {
	if n == nil {
		return Unset
	}
	return *n
}

func (p *parser) number(field, s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	p.fail(field, err)
	return uint32(n)
}

// pair reads two numbers with a dash between them.
func (p *parser) pair(field, s string, firstBits, secondBits int) (uint64, uint64) {
	first, second, ok := strings.Cut(s, "-")
	if !ok {
		p.fail(field, fmt.Errorf("%q, expected two numbers with - between them", s))
		return 0, 0
	}
	a, err := strconv.ParseUint(first, 10, firstBits)
	p.fail(field, err)
	b, err := strconv.ParseUint(second, 10, secondBits)
	p.fail(field, err)
	return a, b
}

func (p *parser) hex(field, s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	b, err := hex.DecodeString(s)
	p.fail(field, err)
	return string(b)
}

func (p *parser) file(field string, l *lineFile) File {
	f := File{Path: l.Path, Size: l.Size}
	if l.UID != "" {
		f.Device, f.Inode = p.pair(field+".uid", l.UID, 64, 64)
	}
	return f
}

func (p *parser) path(field string, l *linePath, f *File) {
	f.Path = p.hex(field+".path_hex", l.PathHex, f.Path)
	f.Truncated, f.Joined = l.PathTruncated, l.PathJoined
}

func (p *parser) endpoint(field string, l *lineEndpoint) netip.AddrPort {
	if l.IP == "" {
		return netip.AddrPortFrom(netip.Addr{}, l.Port)
	}
	a, err := netip.ParseAddr(l.IP)
	p.fail(field+".ip", err)
	return netip.AddrPortFrom(a, l.Port)
}

// process reads the subject of an event.
func (p *parser) process(field string, l *lineProcess) *Process {
	x := &l.Attributes
	r := &Process{
		PID: l.PID, PPID: l.Parent.PID, UID: p.number(field+".user.uid", l.User.UID), EUID: l.EUID, AUID: Unset,
		Comm: l.Name, Parent: l.Parent.Name,
		Directory: p.hex(field+".xattributes.working_directory_hex", x.DirectoryHex, x.Directory),
		Cgroup:    x.Cgroup, Container: l.Container.UID, Label: x.Label,
	}
	if l.Created != nil {
		r.Start = time.UnixMilli(*l.Created)
	}
	if l.AUID != nil {
		r.AUID = *l.AUID
	}
	if l.UID != "" {
		_, start := p.pair(field+".uid", l.UID, 32, 63)
		r.StartBoot = time.Duration(start)
	}
	if l.File.UID != "" { // else it is what an exec was given
		r.Exe = p.file(field+".file", &l.File)
		p.path(field+".xattributes", &x.linePath, &r.Exe)
	}
	r.Args = l.args()
	for i := len(l.Lineage) - 1; i >= 0; i-- {
		a := Ancestor{Exe: l.Lineage[i]}
		if len(x.Ancestors) == len(l.Lineage) {
			pid, start := p.pair(field+".xattributes.ancestors", x.Ancestors[i], 32, 63)
			a.PID, a.StartBoot = uint32(pid), time.Duration(start)
		}
		r.Ancestors = append(r.Ancestors, a)
	}
	return r
}

func (l *lineProcess) args() []string {
	if l.Attributes.Args != nil || l.CmdLine == "" {
		return l.Attributes.Args
	}
	return strings.Split(l.CmdLine, " ")
}

// subject is where a line of a kind has the process that did it, or that it is about.
func (l *line) subject(kind Kind) (field string, who *lineProcess) {
	switch kind {
	case Exec, Exit, Credentials:
		return "process", &l.Process
	case Detection:
		if len(l.Evidences) > 0 {
			return "evidences[0].actor.process", &l.Evidences[0].Actor.Process
		}
		return "evidences", &lineProcess{}
	}
	return "actor.process", &l.Actor.Process
}

func (l *line) record(kind Kind) (Record, error) {
	p := &parser{}
	field, who := l.subject(kind)
	r := Record{Host: l.Device.Hostname, Event: Event{Kind: kind, Time: time.UnixMilli(l.Time), Process: p.process(field, who)}}
	if l.Count > 1 {
		r.Merged = l.Count - 1
	}
	switch {
	case kind == Exec:
		l.exec(p, &r.Event)
	case kind == Exit:
		r.ExitCode, r.Signal = l.ExitCode, l.Unmapped.Signal
	case kind == Trace:
		r.OtherPID, r.Subtype = l.Process.PID, l.Unmapped.Request
	case kind == Credentials:
		r.OldUID, r.OldEUID = l.Unmapped.OldUID, l.Unmapped.OldEUID
	case kind == ModuleLoad:
		r.Name, r.File.Path = l.Driver.File.Name, l.Driver.File.Path
	case kind == Detection:
		l.detection(p, &r.Event)
	case kind == BPFLoad:
		r.Name, r.Subtype = l.Kernel.Name, l.Unmapped.BPFType
	case FileKinds.Has(kind):
		l.file(p, &r.Event)
	case NetworkKinds.Has(kind):
		l.flow(p, &r.Event)
	}
	if p.err != nil {
		return Record{}, p.err
	}
	return r, nil
}

// exec reads what was executed: the process's own file, where nothing else is said.
func (l *line) exec(p *parser, e *Event) {
	e.Args, e.ArgsTruncated = e.Process.Args, l.Unmapped.ArgsTruncated
	if l.Unmapped.Args != nil {
		e.Args = l.Unmapped.Args
	}
	if l.Process.File.UID == "" { // no more is known of the process's file
		e.Process.Args = nil
	}
	e.File.Path = l.Process.File.Path
	if l.Unmapped.Executed != nil {
		e.File.Path = *l.Unmapped.Executed
	} else if e.Process.Exe.Path != "" {
		e.File.Path = e.Process.Exe.Path
	}
	p.path("unmapped", &l.Unmapped.linePath, &e.File)
}

func (l *line) file(p *parser, e *Event) {
	from, field := &l.File, "file"
	if e.Kind == FileMap {
		from, field = &l.Module.File, "module.file"
	}
	e.File = p.file(field, from)
	e.File.Changed = l.Unmapped.Changed
	p.path("unmapped", &l.Unmapped.linePath, &e.File)
	if e.Kind == FileAttributes {
		e.Mode, e.Owner, e.Group = orUnset(from.Attributes), Unset, orUnset(l.Unmapped.Group)
		if from.Owner.UID != "" {
			e.Owner = p.number("file.owner.uid", from.Owner.UID)
		}
	}
	e.Target = p.file("file_result", &l.FileResult)
	u := &l.Unmapped
	p.path("unmapped", &linePath{u.TargetHex, u.TargetTruncated, u.TargetJoined}, &e.Target)
}

func (l *line) flow(p *parser, e *Event) {
	f := &e.Flow
	const longest = int64(1<<63-1) / int64(time.Millisecond)
	if l.Duration < 0 || l.Duration > longest {
		p.fail("duration", fmt.Errorf("%d ms, expected 0 to %d", l.Duration, longest))
		return
	}
	f.Protocol, f.Duration = l.Connection.Protocol, time.Duration(l.Duration)*time.Millisecond
	source, destination := p.endpoint("src_endpoint", &l.Source), p.endpoint("dst_endpoint", &l.Destination)
	f.Local, f.Remote, f.Sent, f.Received = source, destination, l.Traffic.Out, l.Traffic.In
	if l.Connection.Direction == ocsfInbound {
		f.Local, f.Remote, f.Sent, f.Received = destination, source, l.Traffic.In, l.Traffic.Out
		f.Inbound = e.Kind != Listen
	}
}
