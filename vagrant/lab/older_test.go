package lab

import (
	"strings"
	"testing"
)

func TestBeforeNewest(t *testing.T) {
	const (
		security = "linux-image-amd64 |  6.1.192-3 | http://mirror.invalid/debian-security bookworm-security/main amd64 Packages\n"
		release  = "linux-image-amd64 |  6.1.176-1 | http://mirror.invalid/debian bookworm/main amd64 Packages\n"
		updates  = "linux-image-amd64 |  6.1.192-3 | http://mirror.invalid/debian bookworm-updates/main amd64 Packages\n"
		oldest   = "linux-image-amd64 |  6.1.170-1 | http://mirror.invalid/old bookworm/main amd64 Packages\n"
		source   = "linux-image-amd64 |  6.1.180-1 | http://mirror.invalid/debian bookworm/main Sources\n"
	)
	for _, c := range []struct{ name, said, want, says string }{
		{name: "two", said: security + release, want: "6.1.176-1"},
		{name: "the newest twice", said: security + updates + release, want: "6.1.176-1"},
		{name: "three", said: security + release + oldest, want: "6.1.176-1"},
		{name: "one", said: security + updates, says: "have 1 versions of linux-image-amd64 (6.1.192-3), expected two"},
		{name: "a source is none", said: security + source, says: "(6.1.192-3)"},
		{name: "another package", said: security + strings.Replace(release, "-amd64", "-cloud-amd64", 1), says: "(6.1.192-3)"},
		{name: "none", says: "have 0 versions of linux-image-amd64 ()"},
	} {
		got, err := beforeNewest("linux-image-amd64", madisonVersions("linux-image-amd64", c.said))
		if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, %v; expected %q, %q", c.name, got, err, c.want, c.says)
		}
	}
}
