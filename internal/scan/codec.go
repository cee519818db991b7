package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrMessage is wrapped by errors that tell what is wrong with a message. Whoever sent it is not to be trusted any more: after it, the
// connection is of no use.
var ErrMessage = errors.New("not a message of the scan protocol")

// A message is: the protocol's version, its kind, and its fields in the order of their declaration; integers of fixed size, little
// endian; texts with their length in two bytes before them. Nothing follows the last field.
const (
	protocol = 1

	kindRequest byte = 1
	kindAnswer  byte = 2
	kindReport  byte = 3
)

// maxVersion bounds the engine's version, in bytes.
const maxVersion = 64

// encodeRequest fails where the request is not one that the other side would take.
func encodeRequest(r Request) ([]byte, error) {
	if r.ID == 0 {
		return nil, errors.New("request without an ID")
	}
	w := newWriter(kindRequest)
	w.u64(r.ID)
	w.u64(r.Limits.FileBytes)
	w.u64(r.Limits.ScanBytes)
	w.u32(r.Limits.Depth)
	w.u32(r.Limits.Files)
	w.u32(milliseconds(r.Limits.ScanTime))
	return w.b, nil
}

func decodeRequest(b []byte) (Request, error) {
	r := newReader(b, kindRequest)
	q := Request{ID: r.u64(), Limits: Limits{
		FileBytes: r.u64(), ScanBytes: r.u64(), Depth: r.u32(), Files: r.u32(),
		ScanTime: time.Duration(r.u32()) * time.Millisecond,
	}}
	r.check(q.ID != 0, "request without an ID")
	if err := r.end(); err != nil {
		return Request{}, err
	}
	return q, nil
}

// encodeAnswer fails where the answer contradicts itself. Texts are made to fit: what is not printable is replaced, what is too long cut.
func encodeAnswer(a Answer) ([]byte, error) {
	a.Name, a.Error = fit(a.Name, MaxName), fit(a.Error, MaxError)
	if why := a.contradiction(); why != "" {
		return nil, errors.New(why)
	}
	w := newWriter(kindAnswer)
	w.u64(a.ID)
	w.u8(byte(a.Result))
	w.text(a.Name)
	w.text(a.Error)
	w.u64(a.Scanned)
	return w.b, nil
}

func decodeAnswer(b []byte) (Answer, error) {
	r := newReader(b, kindAnswer)
	a := Answer{ID: r.u64(), Result: Result(r.u8()), Name: r.text(MaxName), Error: r.text(MaxError), Scanned: r.u64()}
	why := a.contradiction()
	r.check(why == "", why)
	if err := r.end(); err != nil {
		return Answer{}, err
	}
	return a, nil
}

// contradiction says what makes the answer none, "" if it is one.
func (a Answer) contradiction() string {
	switch {
	case a.ID == 0:
		return "answer without an ID"
	case a.Result < Clean || a.Result > Failed:
		return fmt.Sprintf("answer with result %d", a.Result)
	case (a.Result == Infected) != (a.Name != ""):
		return fmt.Sprintf("answer %q with name %q", a.Result, a.Name)
	case (a.Result == Failed) != (a.Error != ""):
		return fmt.Sprintf("answer %q with error %q", a.Result, a.Error)
	}
	return ""
}

// encodeReport fails where the report contradicts itself. Texts are made to fit, as those of answers are.
func encodeReport(p Report) ([]byte, error) {
	p.Error, p.File, p.Engine = fit(p.Error, MaxError), fit(p.File, MaxName), fit(p.Engine, maxVersion)
	if why := p.contradiction(); why != "" {
		return nil, errors.New(why)
	}
	w := newWriter(kindReport)
	w.u8(byte(p.Stage))
	w.u8(byte(p.Cause))
	w.text(p.Error)
	w.text(p.File)
	w.text(p.Engine)
	w.u32(p.Signatures)
	w.u32(uint32(p.Sandbox))
	w.u32(p.Workers)
	return w.b, nil
}

func decodeReport(b []byte) (Report, error) {
	r := newReader(b, kindReport)
	p := Report{
		Stage: Stage(r.u8()), Cause: Cause(r.u8()), Error: r.text(MaxError), File: r.text(MaxName), Engine: r.text(maxVersion),
		Signatures: r.u32(), Sandbox: Sandbox(r.u32()), Workers: r.u32(),
	}
	why := p.contradiction()
	r.check(why == "", why)
	if err := r.end(); err != nil {
		return Report{}, err
	}
	return p, nil
}

// contradiction says what makes the report none, "" if it is one.
func (p Report) contradiction() string {
	switch ready := p.Stage == StageReady; {
	case p.Stage < StageSandbox || p.Stage > StageReady:
		return fmt.Sprintf("report of stage %d", p.Stage)
	case p.Cause > lastCause:
		return fmt.Sprintf("report with cause %d", p.Cause)
	case p.Sandbox&^allSandbox != 0:
		return fmt.Sprintf("report with sandbox %#x", uint32(p.Sandbox))
	case ready && (p.Cause != NoCause || p.Error != "" || p.File != ""):
		return fmt.Sprintf("report that it is ready, with cause %d, error %q, file %q", p.Cause, p.Error, p.File)
	case !ready && p.Error == "":
		return fmt.Sprintf("report of a start that ended at stage %q, without an error", p.Stage)
	}
	return ""
}

// milliseconds is 0 for what is negative, and the largest number that fits for what is longer.
func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), math.MaxUint32))
}

// fit makes a text printable and cuts it, between characters, to n bytes. Several lines become one.
func fit(s string, n int) string {
	b := make([]byte, 0, min(len(s), n))
	for _, c := range s {
		switch {
		case c == '\n', c == '\t':
			c = ' '
		case !unicode.IsPrint(c):
			c = utf8.RuneError
		}
		if len(b)+utf8.RuneLen(c) > n {
			break
		}
		b = utf8.AppendRune(b, c)
	}
	return string(b)
}

// printable is whether fit would leave a text as it is, its length aside.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}

type writer struct{ b []byte }

func newWriter(kind byte) *writer { return &writer{b: append(make([]byte, 0, 128), protocol, kind)} }

func (w *writer) u8(v byte)    { w.b = append(w.b, v) }
func (w *writer) u32(v uint32) { w.b = binary.LittleEndian.AppendUint32(w.b, v) }
func (w *writer) u64(v uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, v) }

func (w *writer) text(s string) {
	w.b = append(binary.LittleEndian.AppendUint16(w.b, uint16(len(s))), s...)
}

// reader takes a message apart. After the first thing that is wrong it reads zeros, and end returns that.
type reader struct {
	b   []byte
	err error
}

// kindOf is a message's kind, once its version was checked.
func kindOf(b []byte) (byte, error) {
	switch {
	case len(b) < 2:
		return 0, fmt.Errorf("%w: %d bytes", ErrMessage, len(b))
	case b[0] != protocol:
		return 0, fmt.Errorf("%w: version %d, expected %d", ErrMessage, b[0], protocol)
	}
	return b[1], nil
}

func newReader(b []byte, kind byte) *reader {
	got, err := kindOf(b)
	if err == nil && got != kind {
		err = fmt.Errorf("%w: kind %d, expected %d", ErrMessage, got, kind)
	}
	if err != nil {
		return &reader{err: err}
	}
	return &reader{b: b[2:]}
}

func (r *reader) check(ok bool, why string) {
	if r.err == nil && !ok {
		r.err = fmt.Errorf("%w: %s", ErrMessage, why)
	}
}

// take returns the next n bytes, nil if there are fewer.
func (r *reader) take(n int) []byte {
	r.check(len(r.b) >= n, fmt.Sprintf("%d bytes are left, expected %d", len(r.b), n))
	if r.err != nil {
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// text returns the next text, which has at most n bytes.
func (r *reader) text(n int) string {
	b := r.take(2)
	if b == nil {
		return ""
	}
	size := int(binary.LittleEndian.Uint16(b))
	r.check(size <= n, fmt.Sprintf("text of %d bytes, at most %d expected", size, n))
	s := string(r.take(size))
	r.check(printable(s), fmt.Sprintf("text %q, expected printable UTF-8", s))
	return s
}

// end is the first thing that was wrong; bytes that are left are.
func (r *reader) end() error {
	r.check(len(r.b) == 0, fmt.Sprintf("%d bytes after the last field", len(r.b)))
	return r.err
}
