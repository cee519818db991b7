package definitions

import (
	"os"
	"path/filepath"
	"strings"
)

// FIPS reports whether the host below root is in FIPS mode (proc_sys_crypto(5), fips_enabled), where MD5 is no evidence and ClamAV from 1.5 on goes by .sign files.
// A kernel without the file has no such mode.
func FIPS(root string) bool {
	b, err := os.ReadFile(filepath.Join(root, "/proc/sys/crypto/fips_enabled"))
	return err == nil && strings.TrimSpace(string(b)) == "1"
}
