package scan

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	someRequest = Request{ID: 1 << 40, Limits: Limits{FileBytes: 1 << 33, ScanBytes: 2, Depth: 3, Files: 4, ScanTime: 5 * time.Second}}
	someAnswers = []Answer{
		{ID: 1, Result: Clean, Scanned: 4096},
		{ID: 2, Result: Infected, Name: "Eicar-Test"},
		{ID: 3, Result: Limited},
		{ID: 4, Result: Failed, Error: "read: Eingabe-/Ausgabefehler ü"},
	}
	someReports = []Report{
		{Stage: StageReady, Engine: "1.4.3", Signatures: 8_700_000, Sandbox: SandboxUser | SandboxPaths, Workers: 2},
		{Stage: StageDefinitions, Cause: DefinitionsBad, Error: "Malformed database", File: "daily.cvd", Engine: "1.4.3"},
		{Stage: StageSandbox, Error: "what it was is not known"},
	}
)

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	b, err := encodeRequest(someRequest)
	if err != nil {
		t.Fatal(err)
	}
	r, err := decodeRequest(b)
	if err != nil || r != someRequest {
		t.Errorf("request %+v, %v, expected %+v", r, err, someRequest)
	}
	for _, want := range someAnswers {
		b, err := encodeAnswer(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeAnswer(b); err != nil || got != want {
			t.Errorf("answer %+v, %v, expected %+v", got, err, want)
		}
	}
	for _, want := range someReports {
		b, err := encodeReport(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeReport(b); err != nil || got != want {
			t.Errorf("report %+v, %v, expected %+v", got, err, want)
		}
	}
}

// valid are messages of all kinds, the seeds of what is made bad.
func valid(t testing.TB) (messages [][]byte) {
	t.Helper()
	add := func(b []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, b)
	}
	add(encodeRequest(someRequest))
	for _, a := range someAnswers {
		add(encodeAnswer(a))
	}
	for _, r := range someReports {
		add(encodeReport(r))
	}
	return messages
}

// decodeAny decodes as whatever the message says to be, and encodes what came of it.
func decodeAny(b []byte) (again []byte, err error) {
	kind, err := kindOf(b)
	if err != nil {
		return nil, err
	}
	switch kind {
	case kindRequest:
		r, err := decodeRequest(b)
		if err != nil {
			return nil, err
		}
		return encodeRequest(r)
	case kindReport:
		r, err := decodeReport(b)
		if err != nil {
			return nil, err
		}
		return encodeReport(r)
	default:
		a, err := decodeAnswer(b)
		if err != nil {
			return nil, err
		}
		return encodeAnswer(a)
	}
}

func TestDamagedMessagesAreRefused(t *testing.T) {
	for _, whole := range valid(t) {
		for n := range whole {
			if _, err := decodeAny(whole[:n]); !errors.Is(err, ErrMessage) {
				t.Errorf("%d of %d bytes of %q: %v", n, len(whole), whole, err)
			}
		}
		for what, b := range map[string][]byte{
			"a byte more":     append(bytes.Clone(whole), 0),
			"another version": append([]byte{protocol + 1}, whole[1:]...),
			"another kind":    append([]byte{protocol, 9}, whole[2:]...),
		} {
			if _, err := decodeAny(b); !errors.Is(err, ErrMessage) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

func TestContradictionsAreRefused(t *testing.T) {
	for what, a := range map[string]Answer{
		"no ID":                     {Result: Clean},
		"no result":                 {ID: 1},
		"unknown result":            {ID: 1, Result: Failed + 1, Error: "x"},
		"infected by nothing":       {ID: 1, Result: Infected},
		"clean with a name":         {ID: 1, Result: Clean, Name: "x"},
		"failed for no reason":      {ID: 1, Result: Failed},
		"limited, and yet an error": {ID: 1, Result: Limited, Error: "x"},
	} {
		if _, err := encodeAnswer(a); err == nil {
			t.Errorf("answer with %s is sent", what)
		}
	}
	for what, r := range map[string]Report{
		"no stage":           {Error: "x"},
		"unknown stage":      {Stage: StageReady + 1, Error: "x"},
		"unknown cause":      {Stage: StageLibrary, Cause: lastCause + 1, Error: "x"},
		"unknown sandbox":    {Stage: StageReady, Sandbox: allSandbox + 1},
		"ready and an error": {Stage: StageReady, Error: "x"},
		"ready and a cause":  {Stage: StageReady, Cause: MemoryShort},
		"ended, no error":    {Stage: StageLibrary, Cause: LibraryMissing},
	} {
		if _, err := encodeReport(r); err == nil {
			t.Errorf("report with %s is sent", what)
		}
	}
	if _, err := encodeRequest(Request{}); err == nil {
		t.Error("request without an ID is sent")
	}
}

// Contradictions that are not sent may come all the same, from a service that has been taken over.
func TestContradictionsOfOthersAreRefused(t *testing.T) {
	raw := func(kind byte, write func(*writer)) []byte {
		w := newWriter(kind)
		write(w)
		return w.b
	}
	for what, b := range map[string][]byte{
		"answer, clean with a name": raw(kindAnswer, func(w *writer) { w.u64(1); w.u8(byte(Clean)); w.text("x"); w.text(""); w.u64(0) }),
		"answer, escapes in the name": raw(kindAnswer, func(w *writer) {
			w.u64(1)
			w.u8(byte(Infected))
			w.text("\x1b[2J")
			w.text("")
			w.u64(0)
		}),
		"answer, name too long": raw(kindAnswer, func(w *writer) {
			w.u64(1)
			w.u8(byte(Infected))
			w.text(strings.Repeat("x", MaxName+1))
			w.text("")
			w.u64(0)
		}),
		"answer, name not UTF-8": raw(kindAnswer, func(w *writer) { w.u64(1); w.u8(byte(Infected)); w.text("\xff"); w.text(""); w.u64(0) }),
		"request, no ID":         raw(kindRequest, func(w *writer) { w.b = append(w.b, make([]byte, 36)...) }),
	} {
		if _, err := decodeAny(b); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTextsAreMadeToFit(t *testing.T) {
	b, err := encodeAnswer(Answer{ID: 1, Result: Failed, Error: "line\nline\x1b[0m \xff\u202e" + strings.Repeat("ü", MaxError)})
	if err != nil {
		t.Fatal(err)
	}
	a, err := decodeAnswer(b)
	if err != nil {
		t.Fatal(err)
	}
	const start = "line line\uFFFD[0m \uFFFD\uFFFDü"
	if !strings.HasPrefix(a.Error, start) || len(a.Error) > MaxError || len(a.Error) < MaxError-1 {
		t.Errorf("error of %d bytes %.60q, expected %q…", len(a.Error), a.Error, start)
	}
	all := Report{
		Stage: StageLibrary, Error: strings.Repeat("e", 2*MaxError), File: strings.Repeat("f", 2*MaxName), Engine: strings.Repeat("v", 2*maxVersion),
	}
	if b, err = encodeReport(all); err != nil || len(b) > MaxMessage {
		t.Errorf("report of %d bytes, %v", len(b), err)
	}
}

func TestScanTimeIsRoundedDown(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		1999 * time.Microsecond: time.Millisecond,
		-time.Second:            0,
		1 << 62:                 (1<<32 - 1) * time.Millisecond,
	} {
		b, err := encodeRequest(Request{ID: 1, Limits: Limits{ScanTime: d}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeRequest(b)
		if diff := cmp.Diff(Request{ID: 1, Limits: Limits{ScanTime: want}}, got); err != nil || diff != "" {
			t.Errorf("%v: %v %s", d, err, diff)
		}
	}
}

// FuzzDecode: whatever is taken for a message means one thing, and is the only way to say it.
func FuzzDecode(f *testing.F) {
	for _, b := range valid(f) {
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(bytes.Clone(b), 0))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := decodeAny(b)
		if err != nil {
			if !errors.Is(err, ErrMessage) {
				t.Errorf("%v does not say that it is no message", err)
			}
			return
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%q means the same as %q", b, again)
		}
	})
}
