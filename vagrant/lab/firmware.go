package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The firmware of a guest under Secure Boot, and its variables as they leave the factory: with Microsoft's keys, which have signed shim. OVMF
// given the kernel by the emulator (-kernel) would boot it whoever signed it, and say that Secure Boot is on: such a guest proves nothing.
const (
	firmwareCode      = "/usr/share/OVMF/OVMF_CODE_4M.ms.fd"
	firmwareVariables = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
)

// signedPackages bring what the firmware boots: shim, its key manager and GRUB. The kernel of every guest is signed.
var signedPackages = []string{"shim-signed", "grub-efi-amd64-signed"}

// signedFiles are they, by their names on the boot partition. The first is where a firmware looks for a system that it does not know yet.
var signedFiles = map[string]string{
	"EFI/BOOT/BOOTX64.EFI": "usr/lib/shim/shimx64.efi.signed",
	"EFI/BOOT/mmx64.efi":   "usr/lib/shim/mmx64.efi.signed",
	"EFI/BOOT/grubx64.efi": "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
}

// bootFolder holds what is on the boot partition of a guest under Secure Boot.
const bootFolder = "esp"

// takeSigned copies what the firmware boots out of the guest.
func takeSigned(g Guest, root, dir string) error {
	if !g.SecureBoot {
		return nil
	}
	for to, from := range signedFiles {
		if _, err := copyFile(filepath.Join(dir, bootFolder, to), filepath.Join(root, from)); err != nil {
			return err
		}
	}
	return nil
}

// writeFirmware makes in dir the firmware's variables of a machine that is new, and the boot partition: that of the image, with a menu that boots the
// image's kernel with these words.
func (img Image) writeFirmware(dir string, words []string) error {
	esp := filepath.Join(dir, bootFolder)
	if err := os.RemoveAll(esp); err != nil {
		return err
	}
	files := map[string]string{filepath.Join(esp, "vmlinuz"): img.Kernel, filepath.Join(esp, "initrd.img"): img.Initrd, variablesFile(dir): firmwareVariables}
	for name := range signedFiles {
		files[filepath.Join(esp, name)] = filepath.Join(img.Dir, bootFolder, name)
	}
	for to, from := range files {
		if _, err := copyFile(to, from); err != nil {
			return err
		}
	}
	menu := fmt.Sprintf("linux /vmlinuz %s\ninitrd /initrd.img\nboot\n", strings.Join(words, " "))
	return writeFile(filepath.Join(esp, "EFI/debian/grub.cfg"), menu, 0o644)
}

func variablesFile(dir string) string { return filepath.Join(dir, "variables.fd") }

// firmwareArguments have the emulator boot what writeFirmware made in dir. Only code in system management mode may write the variables, so that
// the guest's kernel cannot switch Secure Boot off. The boot partition is a folder that the emulator shows as a FAT disk, behind the other two in their order.
func firmwareArguments(dir string) []string {
	return []string{
		"-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1",
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + firmwareCode,
		"-drive", "if=pflash,unit=1,format=raw,file=" + variablesFile(dir),
		"-drive", "if=none,id=esp,format=raw,readonly=on,file=fat:" + filepath.Join(dir, bootFolder), "-device", "virtio-blk-pci,drive=esp,bootindex=0,addr=0x10",
	}
}

// connectConsole gives the emulator that cmd will be a serial line that this program can type on.
func connectConsole(cmd *exec.Cmd) (*os.File, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	// The emulator sends byte by byte, and each costs the room of a message: without more of it a kernel that starts waits for us.
	err = errors.Join(unix.SetNonblock(ends[0], true), unix.SetsockoptInt(ends[1], unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, consoleRoom))
	line, far := os.NewFile(uintptr(ends[0]), "serial line"), os.NewFile(uintptr(ends[1]), "guest's serial line")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("serial line: %w", err), line.Close(), far.Close())
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, far)
	cmd.Args = append(cmd.Args, "-chardev", fmt.Sprintf("socket,id=console,fd=%d", 2+len(cmd.ExtraFiles)), "-serial", "chardev:console")
	return line, nil
}

const consoleRoom = 32 << 20 // bytes of messages
