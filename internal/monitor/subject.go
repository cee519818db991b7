package monitor

import "encoding/hex"

// The cache of subjects: sets of two, by the version of the process. Its memory is at most sets × 2 × largest.
const (
	subjectSets    = 256
	largestSubject = 3 << 10 // bytes; a longer one is made anew each time
)

// subjectCache keeps the JSON of processes that events came of, so that a line is mostly a copy.
type subjectCache struct {
	sets     [subjectSets][2]subject // the one used last is the first
	lineages lineages
}

// subject is the JSON of a process as it was at a version.
type subject struct {
	version uint64 // 0 is none
	json    []byte
}

// append adds the process as a JSON object.
func (c *subjectCache) append(b []byte, p *Process) []byte {
	if p.version == 0 { // may change without telling
		return c.make(b, p, &p.Exe, p.Args, true)
	}
	set := &c.sets[p.version%subjectSets]
	if set[0].version != p.version {
		set[0], set[1] = set[1], set[0]
	}
	s := &set[0]
	if s.version != p.version {
		start := len(b)
		b = c.make(b, p, &p.Exe, p.Args, true)
		if json := b[start:]; len(json) <= largestSubject {
			s.json, s.version = append(s.json[:0], json...), p.version
		}
		return b
	}
	return append(b, s.json...)
}

// make adds a process with all that is known of it, as it executes exe with args. What OCSF 1.2.0 has no field for stands in
// xattributes; identified says that exe is the program and not what execve was given, and so has the file's numbers.
func (c *subjectCache) make(b []byte, p *Process, exe *File, args []string, identified bool) []byte {
	b = appendInt(b, `{"pid":`, int64(p.PID))
	b = appendID(append(b, `,"uid":`...), p.PID, int64(p.StartBoot))
	b = appendString(append(b, `,"name":`...), p.Comm)
	if !p.Start.IsZero() {
		b = appendInt(b, `,"created_time":`, p.Start.UnixMilli())
	}
	if len(args) > 0 || !identified || exe.Path != "" {
		b = append(b, `,"cmd_line":"`...)
		for i, arg := range args {
			if i > 0 {
				b = append(b, ' ')
			}
			b = appendEscaped(b, arg)
		}
		b = append(b, '"')
	}
	if exe.Path != "" || !identified {
		b = appendExecutable(b, exe, identified)
	}
	b = appendUint(b, `,"user":{"uid":"`, uint64(p.UID))
	b = appendUint(b, `"},"euid":`, uint64(p.EUID))
	if p.AUID != Unset {
		b = appendUint(b, `,"auid":`, uint64(p.AUID))
	}
	if p.Container != "" {
		b = append(appendString(append(b, `,"container":{"uid":`...), p.Container), '}')
	}
	l := c.lineages.of(p)
	if p.PPID != 0 || p.Parent != "" {
		b = append(append(b, `,"parent_process":`...), l.parent...)
	}
	if len(p.Ancestors) > 0 {
		b = append(append(b, `,"lineage":`...), l.paths...)
	}
	return append(appendAttributes(b, p, l, exe, args, identified), '}')
}

// appendExecutable adds the file that a process executes.
func appendExecutable(b []byte, exe *File, identified bool) []byte {
	b = appendPath(b, `,"file":{"path":`, exe.Path)
	b = appendInt(b, `,"type_id":`, ocsfRegularFile)
	if identified {
		b = appendFileID(b, exe)
	}
	return append(b, '}')
}

// appendParent names the process that made it.
func appendParent(b []byte, p *Process) []byte {
	b = appendInt(b, `{"pid":`, int64(p.PPID))
	if len(p.Ancestors) > 0 && p.Ancestors[0].PID == p.PPID && p.Ancestors[0].StartBoot != 0 {
		b = appendID(append(b, `,"uid":`...), p.PPID, int64(p.Ancestors[0].StartBoot))
	}
	return append(appendString(append(b, `,"name":`...), p.Parent), '}')
}

// appendAttributes adds what OCSF has no field for.
func appendAttributes(b []byte, p *Process, l *lineage, exe *File, args []string, identified bool) []byte {
	x := object{b: b, open: `,"xattributes":{`}
	if p.Directory != "" {
		x.text(`"working_directory":`, p.Directory)
	}
	if !valid(p.Directory) {
		x.member(`"working_directory_hex":`)
		x.b = append(hex.AppendEncode(append(x.b, '"'), []byte(p.Directory)), '"')
	}
	if p.Label != "" {
		x.text(`"selinux_context":`, p.Label)
	}
	if p.Cgroup != 0 {
		x.unsigned(`"cgroup_id":`, p.Cgroup)
	}
	if !splittable(args) {
		x.member(`"args":`)
		x.b = appendStrings(x.b, args)
	}
	if len(p.Ancestors) > 0 {
		x.member(`"ancestors":`)
		x.b = append(x.b, l.ids...)
	}
	if identified {
		x.file(fileMembers, exe)
	}
	return x.end()
}
