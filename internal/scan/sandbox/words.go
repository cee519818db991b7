package sandbox

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// words are what a process says on its standard error. They come through a pipe, so that they are known to be those of this process, also where
// several write one log. They are nobody's word to believe: they go into the log, and but for fixed beginnings of lines nothing in them counts.
type words struct {
	from   *os.File
	log    *os.File // nil for none
	left   uint64   // bytes that the log still takes
	copied chan struct{}

	line     []byte // the one that goes on, its first maxBeginning bytes
	shortage string // what was named as short, in words of our own
}

// shortages are the lines by which a process says at its end that it had too little of something, by their beginnings. Go's runtime writes them
// (runtime/malloc.go, mheap.go, mem_linux.go, os_linux.go), and the part of purego that makes threads (internal/fakecgo), while no memory is left for
// a report. A stack trace follows that is longer than most logs, so that the end of the words does not have them.
var shortages = []struct{ beginning, of string }{
	{"fatal error: out of memory", noMemory},
	{"fatal error: runtime: out of memory", noMemory},
	{"fatal error: runtime: cannot allocate memory", noMemory},
	{"fakecgo: out of memory in thread_start", noMemory},
	{"fakecgo: pthread_create failed: 11", noThread},
	{"runtime: failed to create new OS thread", noThread},
}

const (
	noMemory = "memory was refused to its runtime"
	// noThread: EAGAIN of pthread_create(3) is said of both.
	noThread = "a thread was refused to its runtime, for its stack of 8 MiB or since its user has too many"
)

// maxBeginning is more than the longest of them, in bytes.
const maxBeginning = 64

// maxWords is what the log takes of one process, in bytes: more than a trace of all its threads has. A process that a file has taken over may say
// anything, and is started again when it has ended.
const maxWords = 1 << 20

// lastWords bounds the wait for words after a process's end. None are to come: nothing else has its end of the pipe.
const lastWords = time.Second

// listen makes the pipe and copies what comes out of it. The end that is returned is the process's; the caller closes its own.
func listen(log *os.File, most uint64) (*words, *os.File, error) {
	w := &words{left: most, copied: make(chan struct{})}
	if log != nil {
		fd, err := unix.FcntlInt(log.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, nil, fmt.Errorf("duplicate the descriptor of %s: %w", log.Name(), err)
		}
		w.log = os.NewFile(uintptr(fd), log.Name())
	}
	from, mouth, err := os.Pipe()
	if err != nil {
		w.close()
		return nil, nil, err
	}
	w.from = from
	go func() {
		_, _ = io.Copy(w, from) // to its end, or the deadline
		from.Close()
		w.close()
		close(w.copied)
	}()
	return w, mouth, nil
}

func (w *words) close() {
	if w.log != nil {
		w.log.Close()
	}
}

// end returns when all that a process said that has ended is in the log.
func (w *words) end() {
	_ = w.from.SetReadDeadline(time.Now().Add(lastWords)) // an error: they have ended
	<-w.copied
}

// Write takes what a process says. It never fails: a full disk must not stop the process.
func (w *words) Write(b []byte) (int, error) {
	n := uint64(len(b))
	if w.log != nil {
		most := b[:min(n, w.left)]
		w.left -= uint64(len(most))
		_, _ = w.log.Write(most)
	}
	for rest := b; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte{'\n'})
		w.line = append(w.line, part[:min(len(part), maxBeginning-len(w.line))]...)
		w.hear()
		if ended {
			w.line = w.line[:0]
		}
		rest = after
	}
	return int(n), nil
}

// hear looks whether the line names a shortage. The first that is named counts: what follows is of its making.
func (w *words) hear() {
	for _, s := range shortages {
		if w.shortage == "" && bytes.HasPrefix(w.line, []byte(s.beginning)) {
			w.shortage = s.of
		}
	}
}
