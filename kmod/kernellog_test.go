package kmod

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseRecord(t *testing.T) {
	for record, want := range map[string]KernelMessage{
		"5,723,4567890,-;Loading of unsigned module is rejected\n": {723, 5, 4567890 * time.Microsecond, "Loading of unsigned module is rejected"},
		"30,1,2,c,caller=T1;text; of two\n SUBSYSTEM=pci\n":        {1, 6, 2 * time.Microsecond, "text; of two"},
		"6,1,2,-;\x1b[2J": {1, 6, 2 * time.Microsecond, "�[2J"},
		"6,1,2,-;" + strings.Repeat("x", maxText+1):                 {1, 6, 2 * time.Microsecond, strings.Repeat("x", maxText)},
		"6,18446744073709551615,9007199254740991,-;the last of all": {1<<64 - 1, 6, 9007199254740991 * time.Microsecond, "the last of all"},
	} {
		if got, ok := parseRecord([]byte(record)); !ok || got != want {
			t.Errorf("%q: %+v, %v", record, got, ok)
		}
	}
	for _, bad := range []string{"", ";", "6,1;x", "6,1,2;x", "-1,1,2,-;x", "6,1,-2,-;x", "6,x,2,-;x", "6,1,9223372036854775807,-;x", "6,1,2,- x"} {
		if got, ok := parseRecord([]byte(bad)); ok {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestDrain(t *testing.T) {
	var answers []any
	for i := range maxMessages + 10 {
		answers = append(answers, fmt.Sprintf("6,%d,1,-;message", i))
	}
	answers = append([]any{"6,5,1,-;before", unix.EPIPE, "torn", unix.EINTR}, answers...)
	next := func(b []byte) (int, error) {
		if len(answers) == 0 {
			return 0, unix.EAGAIN
		}
		a := answers[0]
		answers = answers[1:]
		if errno, ok := a.(unix.Errno); ok {
			return 0, errno
		}
		return copy(b, a.(string)), nil
	}
	got, err := drain(next, 7, maxMessages)
	if err != nil || len(got) != maxMessages || got[0].Sequence != 10 || got[len(got)-1].Sequence != maxMessages+9 {
		t.Errorf("%d messages, %v", len(got), err)
	}
	if _, err := drain(func([]byte) (int, error) { return 0, unix.EIO }, 0, 1); err == nil || !strings.Contains(err.Error(), "/dev/kmsg") {
		t.Errorf("%v", err)
	}
	if got, err := drain(func([]byte) (int, error) { return 0, unix.EPIPE }, 0, 1); err != nil || got != nil {
		t.Errorf("a log that is overwritten for ever: %d, %v", len(got), err)
	}
}

func TestReadKernelLog(t *testing.T) {
	r := ReadKernelLog(3)
	if r.Err != nil {
		t.Skipf("the kernel's messages: %v", r.Err)
	}
	if len(r.Value) > 3 || r.From != "/dev/kmsg" {
		t.Errorf("%d messages, from %s", len(r.Value), r.From)
	}
}

func FuzzKernelRecord(f *testing.F) {
	f.Add([]byte("5,723,4567890,-;Loading of unsigned module is rejected\n SUBSYSTEM=x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, ok := parseRecord(b); ok && (m.Level < 0 || m.Level > 7 || m.Since < 0 || strings.ContainsAny(m.Text, "\n\x1b") || len([]rune(m.Text)) > maxText) {
			t.Errorf("%+v", m)
		}
	})
}
