package hostsetup

import (
	"os"
	"strings"
	"testing"

	"github.com/ampconnector/amp/cmd/internal/manpage"
	"github.com/ampconnector/amp/internal/fault"
)

func TestManual(t *testing.T) {
	page, err := os.ReadFile("../../../packaging/files/man/amp-install.8")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range manpage.Differences(command(strings.NewReader(""), new(fault.Language)), string(page)) {
		t.Error(d)
	}
}
