package monitor

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
)

// The numbers of OCSF 1.2.0, https://schema.ocsf.io/1.2.0/classes. A class's category is its thousands; type_uid is class_uid × 100 +
// activity_id. docs/ocsf.md has the whole mapping.
const (
	ocsfVersion = "1.2.0"

	ocsfFileActivity            = 1001
	ocsfKernelExtensionActivity = 1002
	ocsfKernelActivity          = 1003
	ocsfModuleActivity          = 1005
	ocsfProcessActivity         = 1007
	ocsfDetectionFinding        = 2004
	ocsfNetworkActivity         = 4001

	ocsfOther         = 99 // activity_id that activity_name explains
	ocsfInformational = 1  // severity_id
	ocsfHigh          = 4
	ocsfMapped        = 4 // load_type_id of a module
	ocsfRegularFile   = 1 // type_id of a file
	ocsfInbound       = 1 // direction_id
	ocsfOutbound      = 2
	ocsfAllowed       = 1 // action_id: nothing was done about it
	ocsfDenied        = 2
	ocsfQuarantined   = 3 // disposition_id
	ocsfDetected      = 15
	ocsfNoAction      = 16
	ocsfSHA256        = 3 // algorithm_id of a hash
	ocsfUnknown       = 0 // classification_ids of malware
)

// activity is how OCSF calls a kind.
type activity struct {
	class int
	id    int
	name  string // where id is ocsfOther
}

// activities of the kinds. Listen is an activity of its own since OCSF 1.3.0 only.
var activities = [kindEnd]activity{
	Exec:           {ocsfProcessActivity, 1, ""},
	Exit:           {ocsfProcessActivity, 2, ""},
	FileCreate:     {ocsfFileActivity, 1, ""},
	FileWrite:      {ocsfFileActivity, 3, ""},
	FileRename:     {ocsfFileActivity, 5, ""},
	FileLink:       {ocsfFileActivity, ocsfOther, "Link"},
	FileDelete:     {ocsfFileActivity, 4, ""},
	FileAttributes: {ocsfFileActivity, 7, ""}, // Set Security: mode and owner are what access is decided by
	FileMap:        {ocsfModuleActivity, 1, ""},
	FileCopy:       {ocsfFileActivity, ocsfOther, "Copy"},
	FlowOpen:       {ocsfNetworkActivity, 1, ""},
	FlowClose:      {ocsfNetworkActivity, 2, ""},
	Listen:         {ocsfNetworkActivity, ocsfOther, "Listen"},
	ModuleLoad:     {ocsfKernelExtensionActivity, 1, ""},
	BPFLoad:        {ocsfKernelActivity, 1, ""},
	Trace:          {ocsfProcessActivity, 3, ""},
	Credentials:    {ocsfProcessActivity, 5, ""},
	Detection:      {ocsfDetectionFinding, 1, ""},
}

// inject is the activity of a Trace that changes what the other process does.
var inject = activity{ocsfProcessActivity, 4, ""}

// injections are the requests of ptrace(2), include/uapi/linux/ptrace.h and those of the architectures, that write into the process.
var injections = map[uint32]bool{
	4: true, 5: true, 6: true, // POKETEXT, POKEDATA, POKEUSR
	13: true, 15: true, 19: true, // SETREGS, SETFPREGS, SETFPXREGS
	0x4205: true, // SETREGSET
}

// encoder writes events as OCSF objects, one a line. What is the same in all lines of a kind is made once, and what is the same in all
// events of a process is kept while there is room. For one goroutine.
type encoder struct {
	heads  [kindEnd]string // from the class to the device
	inject string
	cache  subjectCache
	at     int64  // ms since 1970 of the last line
	time   []byte // its beginning
}

func newEncoder(hostname string) *encoder {
	c := &encoder{}
	for k := Exec; k < kindEnd; k++ {
		c.heads[k] = activities[k].head(hostname)
	}
	c.inject = inject.head(hostname)
	return c
}

// head is the part of a line that depends on nothing but the activity and the host.
func (a activity) head(hostname string) string {
	b := appendInt(nil, `,"class_uid":`, int64(a.class))
	b = appendInt(b, `,"category_uid":`, int64(a.class/1000))
	b = appendInt(b, `,"activity_id":`, int64(a.id))
	if a.name != "" {
		b = appendString(append(b, `,"activity_name":`...), a.name)
	}
	b = appendInt(b, `,"type_uid":`, int64(a.class*100+a.id))
	severity, profile := int64(ocsfInformational), ""
	if a.class == ocsfDetectionFinding {
		severity, profile = ocsfHigh, `,"security_control"`
	}
	b = appendInt(b, `,"severity_id":`, severity)
	b = append(b, `,"metadata":{"version":"`+ocsfVersion+`","profiles":["host","container","linux/linux_users"`+profile+`],"product":{"name":"AMP connector","vendor_name":"ampconnector"}},"device":{"hostname":`...)
	b = appendString(b, hostname)
	return string(append(b, `,"type_id":0}`...))
}

// append adds the line of e to b. What does not fit into MaxLine is clipped, and said to be.
func (c *encoder) append(b []byte, e *Event) []byte {
	start := len(b)
	b = c.line(b, e)
	if len(b)-start > MaxLine {
		short := clip(e)
		b = c.line(b[:start], &short)
	}
	return b
}

func (c *encoder) line(b []byte, e *Event) []byte {
	if e.Process == nil {
		nobody := *e
		nobody.Process = &Process{}
		return c.line(b, &nobody)
	}
	head := c.heads[e.Kind%kindEnd]
	if e.Kind == Trace && injections[e.Subtype] {
		head = c.inject
	}
	if at := e.Time.UnixMilli(); at != c.at || len(c.time) == 0 {
		c.at, c.time = at, appendInt(c.time[:0], `{"time":`, at)
	}
	b = append(append(b, c.time...), head...)
	if e.Merged > 0 {
		b = appendInt(b, `,"count":`, int64(e.Merged)+1)
	}
	b = bodies[e.Kind%kindEnd](c, b, e)
	return append(b, "}\n"...)
}

// bodies add what differs between the kinds.
var bodies = [kindEnd]func(*encoder, []byte, *Event) []byte{
	0:    (*encoder).acted,
	Exec: (*encoder).exec, Exit: (*encoder).exit, Trace: (*encoder).trace, Credentials: (*encoder).credentials,
	FileCreate: (*encoder).file, FileWrite: (*encoder).file, FileRename: (*encoder).file, FileLink: (*encoder).file, FileDelete: (*encoder).file,
	FileAttributes: (*encoder).file, FileCopy: (*encoder).file, FileMap: (*encoder).mapped,
	FlowOpen: (*encoder).flow, FlowClose: (*encoder).flow, Listen: (*encoder).flow,
	ModuleLoad: (*encoder).module, BPFLoad: (*encoder).bpf,
	Detection: (*encoder).detection,
}

// acted names the process as the actor.
func (c *encoder) acted(b []byte, e *Event) []byte {
	b = append(b, `,"actor":{"process":`...)
	b = c.cache.append(b, e.Process)
	return append(b, '}')
}

// exec has the parent as its actor, which launched the process.
func (c *encoder) exec(b []byte, e *Event) []byte {
	p := e.Process
	b = append(b, `,"actor":{"process":`...)
	b = append(append(b, c.cache.lineages.of(p).parent...), "},"...)
	b = append(b, `"process":`...)
	switch {
	case p.Exe.Path == "":
		b = c.cache.make(b, p, &e.File, e.Args, false)
	case slices.Equal(p.Args, e.Args): // as they will be told with all that it does until its exit
		b = c.cache.append(b, p)
	default:
		b = c.cache.make(b, p, &p.Exe, e.Args, true)
	}
	u := object{b: b, open: `,"unmapped":{`}
	u.flag(`"args_truncated":`, e.ArgsTruncated)
	if p.Exe.Path != "" && e.File.Path != p.Exe.Path {
		u.text(`"executed":`, e.File.Path)
	}
	u.file(fileMembers, &e.File)
	return u.end()
}

func (c *encoder) exit(b []byte, e *Event) []byte {
	b = c.reflexive(b, e)
	b = appendInt(b, `,"exit_code":`, int64(e.ExitCode))
	u := object{b: b, open: `,"unmapped":{`}
	if e.Signal != 0 {
		u.integer(`"signal":`, int64(e.Signal))
	}
	return u.end()
}

// reflexive is a process that does something to itself: the actor is named in short.
func (c *encoder) reflexive(b []byte, e *Event) []byte {
	b = appendInt(b, `,"actor":{"process":{"pid":`, int64(e.Process.PID))
	b = appendString(append(b, `,"name":`...), e.Process.Comm)
	b = append(b, `}},"process":`...)
	return c.cache.append(b, e.Process)
}

func (c *encoder) trace(b []byte, e *Event) []byte {
	b = c.acted(b, e)
	b = appendInt(b, `,"process":{"pid":`, int64(e.OtherPID))
	return append(appendInt(b, `},"unmapped":{"request":`, int64(e.Subtype)), '}')
}

func (c *encoder) credentials(b []byte, e *Event) []byte {
	b = c.reflexive(b, e)
	b = appendInt(b, `,"unmapped":{"old_uid":`, int64(e.OldUID))
	return append(appendInt(b, `,"old_euid":`, int64(e.OldEUID)), '}')
}

// fileNames are the names of the members below unmapped that tell what OCSF's file object has no field for.
type fileNames struct{ hex, truncated, joined string }

var (
	fileMembers   = fileNames{`"path_hex":`, `"path_truncated":`, `"path_joined":`}
	targetMembers = fileNames{`"target_hex":`, `"target_truncated":`, `"target_joined":`}
)

func (o *object) file(names fileNames, f *File) {
	if !valid(f.Path) {
		o.member(names.hex)
		o.b = append(hex.AppendEncode(append(o.b, '"'), []byte(f.Path)), '"')
	}
	o.flag(names.truncated, f.Truncated)
	o.flag(names.joined, f.Joined)
}

func (c *encoder) file(b []byte, e *Event) []byte {
	b = c.acted(b, e)
	b = append(b, `,"file":`...)
	b = appendFile(b, &e.File, e.Mode)
	if e.Kind == FileAttributes {
		b = b[:len(b)-1]
		if e.Mode != Unset {
			b = appendUint(b, `,"attributes":`, uint64(e.Mode))
		}
		if e.Owner != Unset {
			b = append(appendUint(b, `,"owner":{"uid":"`, uint64(e.Owner)), `"}`...)
		}
		b = append(b, '}')
	}
	target := e.Kind == FileRename || e.Kind == FileLink || e.Kind == FileCopy
	if target {
		b = append(b, `,"file_result":`...)
		b = appendFile(b, &e.Target, 0)
	}
	u := object{b: b, open: `,"unmapped":{`}
	if e.File.Changed != 0 {
		u.integer(`"changed":`, e.File.Changed)
	}
	if e.Kind == FileAttributes && e.Group != Unset {
		u.unsigned(`"group":`, uint64(e.Group))
	}
	u.file(fileMembers, &e.File)
	if target {
		u.file(targetMembers, &e.Target)
	}
	return u.end()
}

func (c *encoder) mapped(b []byte, e *Event) []byte {
	b = c.acted(b, e)
	b = append(b, `,"module":{"file":`...)
	b = appendFile(b, &e.File, e.Mode)
	b = append(appendInt(b, `,"load_type_id":`, ocsfMapped), '}')
	u := object{b: b, open: `,"unmapped":{`}
	u.file(fileMembers, &e.File)
	return u.end()
}

func (c *encoder) module(b []byte, e *Event) []byte {
	b = c.acted(b, e)
	b = append(b, `,"driver":{"file":{"name":`...)
	b = appendString(b, e.Name)
	if e.File.Path != "" {
		b = appendString(append(b, `,"path":`...), e.File.Path)
	}
	return append(appendInt(b, `,"type_id":`, ocsfRegularFile), "}}"...)
}

func (c *encoder) bpf(b []byte, e *Event) []byte {
	b = c.acted(b, e)
	b = appendString(append(b, `,"kernel":{"name":`...), e.Name)
	b = append(b, `,"type":"BPF program","type_id":99}`...)
	return append(appendInt(b, `,"unmapped":{"bpf_type":`, int64(e.Subtype)), '}')
}

// appendFile adds a file object. mode is st_mode, 0 where it is not known.
func appendFile(b []byte, f *File, mode uint32) []byte {
	b = appendPath(b, `{"path":`, f.Path)
	b = appendInt(b, `,"type_id":`, fileType(mode))
	if f.Inode != 0 {
		b = appendFileID(b, f)
	}
	if f.Size != 0 {
		b = appendUint(b, `,"size":`, f.Size)
	}
	return append(b, '}')
}

// appendFileID names a file by the numbers of stat(2), device and inode.
func appendFileID(b []byte, f *File) []byte {
	b = appendUint(b, `,"uid":"`, f.Device)
	return append(appendUint(b, "-", f.Inode), '"')
}

// fileTypes are OCSF's type_id by the type bits of st_mode, inode(7).
var fileTypes = [16]int64{1: 6, 2: 3, 4: 2, 6: 4, 8: ocsfRegularFile, 10: 7, 12: 5}

func fileType(mode uint32) int64 { return fileTypes[mode>>12&15] }

// flow has the one that began it as source. bytes_in is what came from the destination.
func (c *encoder) flow(b []byte, e *Event) []byte {
	f := &e.Flow
	b = c.acted(b, e)
	b = appendInt(b, `,"connection_info":{"protocol_num":`, int64(f.Protocol))
	b = append(b, protocolNames[f.Protocol]...)
	if v := ipVersion(f.Local.Addr()); v != 0 {
		b = appendInt(b, `,"protocol_ver_id":`, v)
	}
	direction, source, destination := int64(ocsfOutbound), &f.Local, &f.Remote
	out, in := f.Sent, f.Received
	if f.Inbound || e.Kind == Listen {
		direction, source, destination = ocsfInbound, &f.Remote, &f.Local
		out, in = in, out
	}
	b = append(appendInt(b, `,"direction_id":`, direction), '}')
	if e.Kind != Listen {
		b = appendEndpoint(append(b, `,"src_endpoint":`...), source)
	}
	b = appendEndpoint(append(b, `,"dst_endpoint":`...), destination)
	if e.Kind == FlowClose {
		b = appendUint(b, `,"traffic":{"bytes":`, in+out)
		b = appendUint(b, `,"bytes_in":`, in)
		b = appendUint(b, `,"bytes_out":`, out)
		b = appendInt(b, `},"duration":`, f.Duration.Milliseconds())
	}
	return b
}

var protocolNames = [256]string{6: `,"protocol_name":"tcp"`, 17: `,"protocol_name":"udp"`}

func ipVersion(a netip.Addr) int64 {
	switch {
	case a.Is4() || a.Is4In6():
		return 4
	case a.Is6():
		return 6
	}
	return 0
}

func appendEndpoint(b []byte, a *netip.AddrPort) []byte {
	addr := a.Addr()
	if b = append(b, '{'); addr.IsValid() {
		b = addr.WithZone("").AppendTo(append(b, `"ip":"`...))
		if zone := addr.Zone(); zone != "" {
			b = appendEscaped(append(b, '%'), zone) // it may be any text
		}
		b = append(b, `",`...)
	}
	return append(appendInt(b, `"port":`, int64(a.Port())), '}')
}

// What is left of the parts of a line that is too long, in bytes.
const (
	clippedPath = 2048
	clippedArgs = 4096
)

// clip returns an event whose line is short enough whatever bytes it is made of.
func clip(e *Event) Event {
	c := *e
	p := *e.Process
	p.version, p.ancestry, p.Args, p.Ancestors = 0, 0, nil, p.Ancestors[:min(1, len(p.Ancestors))]
	for _, f := range []*File{&p.Exe, &c.File, &c.Target} {
		if len(f.Path) > clippedPath {
			f.Path, f.Truncated = f.Path[:clippedPath], true
		}
	}
	for _, s := range []*string{&p.Comm, &p.Parent, &p.Directory, &p.Container, &p.Label, &c.Name} {
		*s = (*s)[:min(len(*s), clippedPath)]
	}
	left := clippedArgs
	for i, a := range c.Args {
		if left -= len(a) + 1; left < 0 {
			c.Args, c.ArgsTruncated = c.Args[:i], true
			break
		}
	}
	if len(p.Ancestors) > 0 && len(p.Ancestors[0].Exe) > clippedPath {
		p.Ancestors = []Ancestor{{PID: p.Ancestors[0].PID, StartBoot: p.Ancestors[0].StartBoot, Exe: p.Parent}}
	}
	c.Process = &p
	return c
}

// splittable reports whether the arguments can be had back from their join with spaces.
func splittable(args []string) bool {
	for _, a := range args {
		if a == "" || strings.IndexByte(a, ' ') >= 0 {
			return false
		}
	}
	return true
}

// appendID adds a producer's own identity of a process: a pid alone comes again.
func appendID(b []byte, pid uint32, start int64) []byte {
	b = appendDigits(append(b, '"'), uint64(pid))
	return append(appendInt(b, "-", start), '"')
}
