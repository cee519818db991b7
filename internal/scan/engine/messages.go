package engine

import (
	"regexp"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan"
)

// maxMessages bounds what is remembered of what the library said; a bad definition file may be bad in each of its lines.
const maxMessages = 8

// severityWarning and above are worth remembering; below is chatter.
const severityWarning = 64

// message is called by the library, in the thread that works for us, with a line of its log.
func (l *Library) message(severity uint32, _, text *byte, _ uintptr) uintptr {
	if severity < severityWarning {
		return 0
	}
	thread, line := unix.Gettid(), strings.TrimSpace(goString(text, scan.MaxError))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.messages == nil {
		l.messages = map[int][]string{}
	}
	if len(l.messages[thread]) < maxMessages {
		l.messages[thread] = append(l.messages[thread], line)
	}
	return 0
}

// takeMessages returns what the library said in this thread, to which the caller is locked, since the last call.
func (l *Library) takeMessages() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	thread := unix.Gettid()
	said := l.messages[thread]
	delete(l.messages, thread)
	return said
}

// goString copies a C string, of n bytes at most.
func goString(p *byte, n int) string {
	if p == nil {
		return ""
	}
	var b []byte
	for c := p; *c != 0 && len(b) < n; c = (*byte)(unsafe.Add(unsafe.Pointer(c), 1)) {
		b = append(b, *c)
	}
	return string(b)
}

// shortage are the words in which the library, glibc and the dynamic loader complain of memory. The library's own codes do not always
// tell: a parser that got none may say that the line which it wanted it for is malformed.
var shortage = regexp.MustCompile(`(?i)allocate memory|out of memory|no memory|memory allocat|can't allocate|failed to allocate|unable to allocate|failed to map segment`)

func outOfMemory(said string) bool { return shortage.MatchString(said) }

// unreadPage are the words in which the library complains that a part of the scanned file could not be read, or was not there any more. It
// goes on with what it has, and returns success.
var unreadPage = regexp.MustCompile(`^(LibClamAV \w+: )?fmap_readpage: pread (error|fail): ?(.*)`)

// notRead is what kept the library from reading a part of a file, "" if nothing did.
func notRead(said []string) string {
	for _, line := range said {
		if m := unreadPage.FindStringSubmatch(line); m != nil {
			return m[3]
		}
	}
	return ""
}
