package host

import (
	"bytes"
	"fmt"
	"strings"
)

// maxGrubEnv bounds GRUB's environment block, which has 1024 bytes (GRUB manual, "Environment block").
const maxGrubEnv = 64 << 10

var grubEnvHead = []byte("# GRUB Environment Block\n")

// GrubSaved reads the saved entry of GRUB's environment block, "" where there is none.
func GrubSaved(r Root, file string) (string, error) {
	b, err := r.ReadFile(file, maxGrubEnv)
	if absent(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	rest, ok := bytes.CutPrefix(b, grubEnvHead)
	if !ok {
		return "", fmt.Errorf("%s: %w: its first line is not %q", file, ErrMalformed, bytes.TrimSpace(grubEnvHead))
	}
	for line := range bytes.Lines(rest) {
		if entry, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), "saved_entry="); ok {
			return entry, nil
		}
	}
	return "", nil
}

// loaderDefault holds the entry that bootctl set-default chose (systemd's boot loader interface).
const loaderDefault = "/sys/firmware/efi/efivars/LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

// EFIDefaultEntry reads the entry that systemd-boot starts by default, "" where none was chosen.
func EFIDefaultEntry(r Root) (string, error) {
	entry, err := efiText(r, loaderDefault)
	if absent(err) {
		return "", nil
	}
	return entry, err
}
