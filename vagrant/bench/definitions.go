package bench

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Sizes of the set of definitions that scans are measured with, in signatures.
const (
	HashesMD5    = 120_000
	HashesSHA256 = 180_000
	BytePatterns = 60_000 // .ndb
	Combinations = 10_000 // .ldb, of two to four patterns each
)

// fixed are signatures of what is there to be found: the test files of EICAR and of ClamAV (clam.exe of clamav-testfiles), by their MD5.
const fixed = "44d88612fea8a8f36de82e1278abb02f:68:Bench.EICAR\naa15bcf478d165efd2065190eb473bcb:544:Bench.ClamAV-Test-File\n"

// marker is at the end of each program that load/drop.c writes.
const marker = "amp-bench-marker-of-a-dropped-on"

// definitionSeed makes each set the same.
var definitionSeed = [32]byte([]byte("definitions of amp's benchmarks.."[:32]))

// WriteDefinitions writes a set of the size and the mixture of what hosts have: mostly hashes of whole files, then patterns of bytes, some
// with gaps and choices, and combinations of such. All of it comes from a fixed seed, so that both sides of a comparison, and each run, have the same.
func WriteDefinitions(dir string) error {
	r := rand.New(rand.NewChaCha8(definitionSeed))
	for _, f := range []struct {
		name  string
		write func(io.Writer, *rand.Rand)
	}{
		{"bench.hdb", func(w io.Writer, r *rand.Rand) { fmt.Fprint(w, fixed); hashes(w, r, 16, HashesMD5) }},
		{"bench.hsb", func(w io.Writer, r *rand.Rand) { hashes(w, r, 32, HashesSHA256) }},
		{"bench.ndb", func(w io.Writer, r *rand.Rand) { fmt.Fprintf(w, "Bench.Marker:0:*:%x\n", marker); patterns(w, r) }},
		{"bench.ldb", combinations},
	} {
		if err := writeDefinitions(filepath.Join(dir, f.name), r, f.write); err != nil {
			return err
		}
	}
	return nil
}

func writeDefinitions(path string, r *rand.Rand, write func(io.Writer, *rand.Rand)) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	write(w, r)
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// hashes are hash:size:name, of files of 200 bytes to 2 MB.
func hashes(w io.Writer, r *rand.Rand, bytes, n int) {
	for i := range n {
		fmt.Fprintf(w, "%s:%d:Bench.Hash%d-%d\n", random(r, bytes), 200+r.IntN(2_000_000), 8*bytes, i)
	}
}

// target is the kind of file that a pattern is looked for in: of ten, four in PE files, two each in any and in ELF, one each in HTML and text.
func target(r *rand.Rand) int { return []int{1, 1, 1, 1, 0, 0, 6, 6, 3, 7}[r.IntN(10)] }

// patterns are name:target:offset:bytes.
func patterns(w io.Writer, r *rand.Rand) {
	for i := range BytePatterns {
		fmt.Fprintf(w, "Bench.Bytes-%d:%d:*:%s\n", i, target(r), pattern(r))
	}
}

// combinations are name;what it is for;expression;patterns.
func combinations(w io.Writer, r *rand.Rand) {
	for i := range Combinations {
		n := 2 + r.IntN(3)
		fmt.Fprintf(w, "Bench.Combination-%d;Engine:81-255,Target:%d;0", i, target(r))
		for p := 1; p < n; p++ {
			fmt.Fprintf(w, "&%d", p)
		}
		for range n {
			fmt.Fprintf(w, ";%s", pattern(r))
		}
		fmt.Fprintln(w)
	}
}

// pattern is 20 to 80 bytes; three of ten have a gap, a byte that may be any, or a choice.
func pattern(r *rand.Rand) string {
	head, tail := random(r, 10+r.IntN(30)), random(r, 10+r.IntN(40))
	switch r.IntN(10) {
	case 0:
		return fmt.Sprintf("%s{%d-%d}%s", head, 2+r.IntN(8), 10+r.IntN(40), tail)
	case 1:
		return head + "??" + tail
	case 2:
		return fmt.Sprintf("%s(%s|%s)%s", head, random(r, 2), random(r, 2), tail)
	}
	return head + tail
}

// random is n bytes in hexadecimal.
func random(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return hex.EncodeToString(b)
}
