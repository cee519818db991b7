package lab

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// payloadLabel lets every domain read the payload's files and an administrator run them. It is an extended attribute and not a mount
// option, since a kernel without SELinux refuses that option.
const payloadLabel = "system_u:object_r:bin_t:s0"

// payloadSlack is the room on the drive beside the files, in bytes.
const payloadSlack = 16 << 20

// Payload is what a guest finds at /media/amplab: files by their name there.
type Payload struct {
	Files map[string]string // name on the drive to path on the machine
	Run   string            // shell commands; their output and exit status are the guest's
}

// write makes the payload's drive at image, with scratch room beside it.
func (p Payload) write(ctx context.Context, image string, log io.Writer) error {
	tree := image + ".d"
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	if err := writeFile(filepath.Join(tree, "run"), p.Run, 0o755); err != nil {
		return err
	}
	var total int64
	for name, from := range p.Files {
		n, err := copyFile(filepath.Join(tree, name), from)
		if err != nil {
			return err
		}
		total += n
	}
	err := filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := unix.Lsetxattr(path, "security.selinux", []byte(payloadLabel+"\x00"), 0); err != nil {
			return fmt.Errorf("label %s: %w", path, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	b := &builder{log: log}
	_, err = b.run(ctx, "mke2fs", "-q", "-t", "ext4", "-d", tree, image, fmt.Sprintf("%dk", (total+total/8+payloadSlack)>>10))
	return err
}

// copyFile copies a file with its permission bits and returns its size.
func copyFile(to, from string) (int64, error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return 0, err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return n, err
}
