package monitor

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// Numbers are written as strconv does it, also those at which one digit more begins, and where the buffer is full.
func TestDecimals(t *testing.T) {
	numbers := []uint64{0, 1, 9, 10, 99, 100, 101, 999, 1000, 1796038757203, math.MaxInt64, 1 << 63, math.MaxUint64}
	for p := uint64(1); p <= math.MaxUint64/10; p *= 10 {
		numbers = append(numbers, p-1, p, p+1, 10*(p-1)+9, 10*p)
	}
	for shift := range 64 {
		numbers = append(numbers, 1<<shift-1, 1<<shift)
	}
	for _, v := range numbers {
		for _, b := range [][]byte{nil, []byte("x"), make([]byte, 1, 64)} {
			if got, want := string(appendDigits(b, v)), string(strconv.AppendUint(b, v, 10)); got != want {
				t.Errorf("%d: %q, expected %q", v, got, want)
			}
			if got, want := string(appendDecimal(b, int64(v))), string(strconv.AppendInt(b, int64(v), 10)); got != want {
				t.Errorf("%d: %q, expected %q", int64(v), got, want)
			}
		}
	}
}

// The last part of a path is written as by itself, and what is no UTF-8 is found.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"", "/", "a", "/a", "/usr/bin/true", "/usr/bin/", "/a\x00b/\x7f\"\\c", "/\xe3/\xe3\x81", "/日本/語", "日本", "/a/\u0085", "\xff", "12345678\xff", "12345678é", "/ a long one without a mark/and a name as long"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		want := `"path":` + string(appendString(nil, path)) + `,"name":` + string(appendString(nil, path[strings.LastIndexByte(path, '/')+1:]))
		if got := string(appendPath(nil, `"path":`, path)); got != want {
			t.Errorf("%s, expected %s", got, want)
		}
		if got, want := valid(path), utf8.ValidString(path); got != want {
			t.Errorf("%q is UTF-8: %v, expected %v", path, got, want)
		}
	})
}
