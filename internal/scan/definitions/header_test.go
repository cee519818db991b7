package definitions

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// head fills a header up.
func head(text string) []byte { return []byte(fmt.Sprintf("%-512s", text)) }

const goodMD5 = "e9902efb873132ba815abe3f00a68fed"

func TestParseHeader(t *testing.T) {
	h, err := ParseHeader(head("ClamAV-VDB:28 Nov 2026 14-28 +0000:27800:2079000:90:" + goodMD5 + ":abc/+9:raynman:1795876108"))
	want := Header{Version: 27800, Signatures: 2079000, Level: 90, MD5: goodMD5, Builder: "raynman", Built: time.Unix(1795876108, 0).UTC(), Signature: "abc/+9"}
	if err != nil || h != want {
		t.Errorf("%+v, %v", h, err)
	}
	h, err = ParseHeader(head("ClamAV-VDB:15 Mar 2004 10-00 +0100:1:2:3:" + goodMD5 + ":X:me"))
	if err != nil || !h.Built.Equal(time.Date(2004, 3, 15, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("a header of before 2006: %+v, %v", h, err)
	}
	for text, want := range map[string]string{
		"":           `begins with ""`,
		"ClamAV-VDB": "1 fields",
		"ClamAV-VDX:t:1:2:3:" + goodMD5 + ":X:b:1":                                "begins with",
		"ClamAV-VDB:t:1:2:3:" + goodMD5 + ":X:b:1:9":                              "10 fields",
		"ClamAV-VDB:t:-1:2:3:" + goodMD5 + ":X:b:1":                               `version "-1"`,
		"ClamAV-VDB:t: 1:2:3:" + goodMD5 + ":X:b:1":                               `version " 1"`,
		"ClamAV-VDB:t:4294967295:2:3:" + goodMD5 + ":X:b:1":                       "at most 2147483647",
		"ClamAV-VDB:t:1:99999999999999999999999:3:" + goodMD5 + ":X:b:1":          "number of signatures",
		"ClamAV-VDB:t:1:2::" + goodMD5 + ":X:b:1":                                 "functionality level",
		"ClamAV-VDB:t:1:2:3:" + strings.ToUpper(goodMD5) + ":X:b:1":               "MD5",
		"ClamAV-VDB:t:1:2:3:" + goodMD5[1:] + ":X:b:1":                            "MD5",
		"ClamAV-VDB:t:1:2:3:z" + goodMD5[1:] + ":X:b:1":                           "MD5",
		"ClamAV-VDB:t:1:2:3:" + goodMD5 + "::b:1":                                 "digital signature",
		"ClamAV-VDB:t:1:2:3:" + goodMD5 + ":A%n:b:1":                              "digital signature",
		"ClamAV-VDB:t:1:2:3:" + goodMD5 + ":" + strings.Repeat("A", 353) + ":b:1": "digital signature",
		"ClamAV-VDB:t:1:2:3:" + goodMD5 + ":X:" + strings.Repeat("b", 65) + ":1":  "builder",
		"ClamAV-VDB:t:1:2:3:" + goodMD5 + ":X:b:99999999999":                      "time of building",
		"ClamAV-VDB:t:1:2:3:" + goodMD5 + ":X:b":                                  "time of building",
		"ClamAV-VDB:t\x1b[2J:1:2:3:" + goodMD5 + ":X:b:1":                         "byte 12 is 0x1b",
	} {
		if _, err := ParseHeader(head(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", text, err, want)
		}
	}
	for _, n := range []int{0, 1, 511, 513} {
		if _, err := ParseHeader(make([]byte, n)); err == nil {
			t.Errorf("%d bytes were taken", n)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add(head("ClamAV-VDB:28 Nov 2026 14-28 +0000:27800:2079000:90:" + goodMD5 + ":abc/+9:raynman:1795876108"))
	f.Add(head("ClamAV-VDB:15 Mar 2004 10-00 +0100:1:2:3:" + goodMD5 + ":X:me"))
	f.Add(head("ClamAV-VDB:t:4294967295:-2:3:" + goodMD5 + ":X:b:1"))
	f.Add(bytes.Repeat([]byte(":"), 512))
	f.Add([]byte("ClamAV-VDB:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil {
			if len(err.Error()) > 400 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
			return
		}
		if len(b) != HeaderSize || !bytes.HasPrefix(b, []byte(magic)) || len(h.MD5) != 32 || h.Version > maxNumber || h.Built.IsZero() {
			t.Errorf("%+v of %q", h, b)
		}
		for _, c := range h.Builder + h.Signature {
			if c < ' ' || c > '~' {
				t.Errorf("%q in %+v", c, h)
			}
		}
	})
}

// FuzzLines reads what could be a text database: the check ends, names a line that exists, and quotes nothing that a terminal would take for more than text.
func FuzzLines(f *testing.F) {
	f.Add(".ndb", []byte(entry))
	f.Add(".ldb", []byte("a;Target:0;0;4141\r\n\n# comment\n"))
	f.Add(".hdb", []byte("\x00\x1b[31m"))
	f.Add(".cvd", []byte("ClamAV-VDB:"))
	f.Fuzz(func(t *testing.T, ext string, b []byte) {
		err := checkLines(bytes.NewReader(b), kinds[ext])
		if err == nil {
			return
		}
		var n int
		if _, serr := fmt.Sscanf(err.Error(), "line %d:", &n); serr == nil && (n < 1 || n > bytes.Count(b, []byte("\n"))+1) {
			t.Errorf("%v of %d lines", err, bytes.Count(b, []byte("\n"))+1)
		}
		for _, c := range err.Error() {
			if c < ' ' || c == 0x7f {
				t.Errorf("%q", err)
			}
		}
	})
}

// FuzzRecords reads what could stand in the store's own files after a disk went bad.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"id":"0123456789abcdef","files":[{"name":"a.ndb","size":1,"sha256":"00"}]}`), "sets/0123456789abcdef")
	f.Add([]byte("{}"), "../../etc")
	f.Add([]byte("null"), "")
	dir := f.TempDir()
	s := Open(testConfig(f, dir))
	if err := s.makeDirectories(); err != nil {
		f.Fatal(err)
	}
	const id = "0123456789abcdef"
	f.Fuzz(func(t *testing.T, b []byte, link string) {
		os.Mkdir(filepath.Join(s.sets(), id), 0o755)
		for _, path := range []string{filepath.Join(s.sets(), id+manifestSuffix), s.recordPath(id), s.path(seenName)} {
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		os.Remove(s.path(currentName))
		os.Symlink(link, s.path(currentName))
		l, err := s.List()
		if err == nil && l.Live.ID != id && !l.Live.BuiltIn {
			t.Errorf("link %q leads to %+v", link, l.Live)
		}
		s.News()
	})
}
