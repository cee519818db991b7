package main

import (
	"os"
	"testing"

	"github.com/ampconnector/amp/cmd/internal/manpage"
)

func TestManual(t *testing.T) {
	page, err := os.ReadFile("../../packaging/files/man/amp-remediate.8")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range manpage.Differences(new(command).root(), string(page)) {
		t.Error(d)
	}
}
