package monitor

import (
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The numbers of OCSF 1.2.0, https://schema.ocsf.io/1.2.0/classes/process_activity.
const (
	ocsfVersion         = "1.2.0"
	ocsfSystemActivity  = 1    // category_uid
	ocsfProcessActivity = 1007 // class_uid; type_uid is class_uid × 100 + activity_id
	ocsfLaunch          = 1    // activity_id
	ocsfTerminate       = 2
	ocsfInformational   = 1 // severity_id
)

// encoder writes events as OCSF objects, one a line. The parts that are the same in all lines are made once.
type encoder struct {
	metadata string
	device   string
}

func newEncoder(hostname string) encoder {
	device := append([]byte(nil), `,"device":{"hostname":`...)
	device = appendString(device, hostname)
	return encoder{
		metadata: `,"metadata":{"version":"` + ocsfVersion + `","profiles":["host","linux/linux_users"],"product":{"name":"AMP connector","vendor_name":"ampconnector"}}`,
		device:   string(append(device, `,"type_id":0}`...)),
	}
}

// append adds the line of e to b.
//
// What OCSF has no field for stands below "unmapped": signal, args_truncated, args where cmd_line cannot be split at its spaces into
// what they were, and path_hex where the path is not UTF-8.
func (c encoder) append(b []byte, e *Event) []byte {
	activity := int64(ocsfLaunch)
	if e.Kind == Exit {
		activity = ocsfTerminate
	}
	b = appendInt(b, `{"time":`, e.Time.UnixMilli())
	b = appendInt(b, `,"class_uid":`, ocsfProcessActivity)
	b = appendInt(b, `,"category_uid":`, ocsfSystemActivity)
	b = appendInt(b, `,"activity_id":`, activity)
	b = appendInt(b, `,"type_uid":`, ocsfProcessActivity*100+activity)
	b = appendInt(b, `,"severity_id":`, ocsfInformational)
	b = append(b, c.metadata...)
	b = append(b, c.device...)
	b = appendActor(b, e)
	b = appendProcess(b, e)
	if e.Kind == Exit {
		b = appendInt(b, `,"exit_code":`, int64(e.ExitCode))
	}
	b = appendUnmapped(b, e)
	return append(b, "}\n"...)
}

// appendActor names who did it: the parent launched the process; a process that ended is its own actor.
func appendActor(b []byte, e *Event) []byte {
	p := &e.Process
	pid, name := p.PPID, p.Parent
	if e.Kind == Exit {
		pid, name = p.PID, p.Comm
	}
	b = appendInt(b, `,"actor":{"process":{"pid":`, int64(pid))
	b = append(b, `,"name":`...)
	b = appendString(b, name)
	return append(b, "}}"...)
}

func appendProcess(b []byte, e *Event) []byte {
	p := &e.Process
	b = appendInt(b, `,"process":{"pid":`, int64(p.PID))
	// The producer's own identity of the process: a pid alone comes again.
	b = appendInt(b, `,"uid":"`, int64(p.PID))
	b = appendInt(b, "-", int64(p.StartBoot))
	b = append(b, `","name":`...)
	b = appendString(b, p.Comm)
	b = appendInt(b, `,"created_time":`, p.Start.UnixMilli())
	if e.Kind == Exec {
		b = append(b, `,"cmd_line":"`...)
		for i, arg := range e.Args {
			if i > 0 {
				b = append(b, ' ')
			}
			b = appendEscaped(b, arg)
		}
		b = append(b, `","file":{"path":`...)
		b = appendString(b, e.Path)
		b = append(b, `,"name":`...)
		b = appendString(b, e.Path[strings.LastIndexByte(e.Path, '/')+1:])
		b = append(b, `,"type_id":1}`...)
	}
	b = appendInt(b, `,"user":{"uid":"`, int64(p.UID))
	b = appendInt(b, `"},"euid":`, int64(p.EUID))
	b = appendInt(b, `,"parent_process":{"pid":`, int64(p.PPID))
	b = append(b, `,"name":`...)
	b = appendString(b, p.Parent)
	return append(b, "}}"...)
}

func appendUnmapped(b []byte, e *Event) []byte {
	start := len(b)
	if e.Signal != 0 {
		b = appendInt(b, `,"signal":`, int64(e.Signal))
	}
	if e.ArgsTruncated {
		b = append(b, `,"args_truncated":true`...)
	}
	if !splittable(e.Args) {
		b = append(b, `,"args":[`...)
		for i, arg := range e.Args {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, arg)
		}
		b = append(b, ']')
	}
	if !utf8.ValidString(e.Path) {
		b = append(b, `,"path_hex":"`...)
		b = hex.AppendEncode(b, []byte(e.Path))
		b = append(b, '"')
	}
	if len(b) == start {
		return b
	}
	// The first member's comma becomes the object's brace.
	const open = `,"unmapped":`
	b = append(b, open...)
	copy(b[start+len(open):], b[start:len(b)-len(open)])
	copy(b[start:], open)
	b[start+len(open)] = '{'
	return append(b, '}')
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

func appendInt(b []byte, name string, v int64) []byte {
	return strconv.AppendInt(append(b, name...), v, 10)
}

// appendString adds s as a JSON string (RFC 8259).
func appendString(b []byte, s string) []byte {
	return append(appendEscaped(append(b, '"'), s), '"')
}

// appendEscaped adds what stands between the quotes. Control bytes are escaped, DEL too, so that a line can be shown on a terminal;
// bytes that are not UTF-8 become U+FFFD, since JSON has no way to say them.
func appendEscaped(b []byte, s string) []byte {
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if plain[c] {
				i++
				continue
			}
			b = appendControl(append(b, s[done:i]...), c)
			i++
			done = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[done:i]...), "\ufffd"...)
		case r < 0xa0: // C1 control characters
			b = appendControl(append(b, s[done:i]...), byte(r))
		default:
			i += size
			continue
		}
		i += size
		done = i
	}
	return append(b, s[done:]...)
}

func appendControl(b []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}

// plain are the ASCII bytes that stand for themselves in a JSON string.
var plain = func() (t [utf8.RuneSelf]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\' && c != 0x7f
	}
	return t
}()
