package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// said are words that come in pieces of n bytes, and what the log has of them.
func said(t *testing.T, text string, n int, most uint64) (*words, string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	w, mouth, err := listen(log, most)
	if err != nil {
		t.Fatal(err)
	}
	for rest := text; rest != ""; rest = rest[min(n, len(rest)):] {
		if _, err := mouth.WriteString(rest[:min(n, len(rest))]); err != nil {
			t.Fatal(err)
		}
	}
	mouth.Close()
	w.end()
	b, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	return w, string(b)
}

func TestWords(t *testing.T) {
	trace := strings.Repeat("\truntime.throw /usr/local/go/src/runtime/panic.go:1229\n", 5000)
	long := strings.Repeat("x", 3*maxBeginning)
	for text, want := range map[string]string{
		"": "",
		"fatal error: out of memory allocating heap arena map\n" + trace:              noMemory,
		"level=WARN msg=x\nfatal error: runtime: out of memory\n\n" + trace:           noMemory,
		long + "\nfatal error: runtime: cannot allocate memory":                       noMemory,
		"fatal error: out of memory\nfakecgo: pthread_create failed: 11\n":            noMemory,
		"fakecgo: pthread_create failed: 11\nSIGABRT: abort\n":                        noThread,
		"fakecgo: pthread_create failed: 22\n":                                        "",
		"runtime: failed to create new OS thread (have 2 already; errno=11)\n":        noThread,
		"fatal error: all goroutines are asleep - deadlock!\n":                        "",
		long + "fatal error: out of memory\n":                                         "",
		"level=ERROR msg=\"a.hsb: fatal error: out of memory\"\n fatal error: out of": "",
	} {
		for _, n := range []int{1, 7, 1 << 20} {
			if n == 1 && len(text) > 1000 {
				continue
			}
			w, log := said(t, text, n, 1<<20)
			if w.shortage != want || log != text || len(w.line) > maxBeginning {
				t.Errorf("%.60q in pieces of %d: shortage %q, expected %q; the log has %d bytes of %d", text, n, w.shortage, want, len(log), len(text))
			}
		}
	}
}

// The log is bounded, and what is beyond is heard all the same.
func TestWordsBeyondTheLog(t *testing.T) {
	w, log := said(t, "12345678\nfatal error: out of memory\n", 4, 10)
	if log != "12345678\nf" || w.shortage != noMemory {
		t.Errorf("log %q, shortage %q", log, w.shortage)
	}
}

// What the runtime and purego say of memory is heard, as it is in the sources that programs are built of.
func TestWordsOfTheRuntime(t *testing.T) {
	list := func(args ...string) string {
		out, err := exec.Command("go", args...).Output()
		if err != nil {
			t.Fatalf("go %s: %v", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(out))
	}
	texts := regexp.MustCompile(`(throw|println|print)\("((?:runtime: |fakecgo: )?(?:out of memory|cannot allocate memory|failed to create new OS thread|pthread_create failed)[^"]*)`)
	for dir, least := range map[string]int{
		filepath.Join(list("env", "GOROOT"), "src/runtime"):                                                     8,
		filepath.Join(list("list", "-m", "-f", "{{.Dir}}", "github.com/ebitengine/purego"), "internal/fakecgo"): 2,
	} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range texts.FindAllStringSubmatch(string(b), -1) {
				text := m[2]
				switch {
				case m[1] == "throw":
					text = "fatal error: " + text
				case strings.HasPrefix(text, "runtime: out of memory"):
					continue // what was asked for; a throw follows
				case strings.HasPrefix(text, "fakecgo: pthread_create"):
					text += "11"
				}
				found++
				if w, _ := said(t, text+"\n", len(text)+1, 0); w.shortage == "" {
					t.Errorf("%s: %q is not heard", file, text)
				}
			}
		}
		if found < least {
			t.Errorf("%s: %d texts, expected %d or more", dir, found, least)
		}
	}
}
