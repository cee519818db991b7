package layout

import (
	"testing"

	"github.com/ampconnector/amp/bpf/layout/debiankernel"
)

// BenchmarkDerive is what a first start with the headers of a kernel costs; budget 5 s on two cores. Nearly all of it is the compiler.
func BenchmarkDerive(b *testing.B) {
	k := debiankernel.Open(b, debiankernel.Suites()[0])
	s := Store{Dir: Dir}
	p, err := s.find(k.Root, k.Release, k.Headers)
	if err != nil || p.Origin != Derived {
		b.Fatalf("found %+v (%v), expected %s", p, err, Derived)
	}
	for b.Loop() {
		if _, err := s.open(b.Context(), k.Root, k.Release, p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCached is what each later start costs; budget 20 ms, most of which is the hash of the headers.
func BenchmarkCached(b *testing.B) {
	k := debiankernel.Open(b, debiankernel.Suites()[0])
	s := Store{Dir: Dir}
	p, err := s.find(k.Root, k.Release, k.Headers)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.open(b.Context(), k.Root, k.Release, p); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p, err := s.find(k.Root, k.Release, k.Headers)
		if err != nil || p.Origin != Cached {
			b.Fatalf("found %+v (%v), expected %s", p, err, Cached)
		}
		if _, err := s.open(b.Context(), k.Root, k.Release, p); err != nil {
			b.Fatal(err)
		}
	}
}
