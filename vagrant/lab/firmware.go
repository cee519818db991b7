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

// firmware is UEFI's of a guest (OVMF), and its variables as they leave the factory. Given the kernel by the emulator (-kernel) it would boot that
// whoever signed it, and say that Secure Boot is on: such a guest proves nothing.
type firmware struct{ code, variables string }

// The variables of secureFirmware have Microsoft's keys, which have signed shim; plainFirmware has none, and boots everything.
var (
	secureFirmware = firmware{"/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"}
	plainFirmware  = firmware{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"}
)

// HasFirmware reports whether a guest is booted as a machine is, which can be done again, and not by the emulator.
func (g Guest) HasFirmware() bool { return g.SecureBoot || g.FromDisk }

func (g Guest) firmware() firmware {
	if g.SecureBoot {
		return secureFirmware
	}
	return plainFirmware
}

// signedPackages bring what the firmware boots: shim, its key manager and GRUB. The kernel of every guest is signed.
var signedPackages = []string{"shim-signed", "grub-efi-amd64-signed"}

// signedFiles are they, by their names on the boot partition. The first is where a firmware looks for a system that it does not know yet.
var signedFiles = map[string]string{
	"EFI/BOOT/BOOTX64.EFI": "usr/lib/shim/shimx64.efi.signed",
	"EFI/BOOT/mmx64.efi":   "usr/lib/shim/mmx64.efi.signed",
	"EFI/BOOT/grubx64.efi": "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
}

// bootFolder holds what is on the boot partition of a guest with firmware.
const bootFolder = "esp"

// takeSigned copies what the firmware boots out of the guest.
func takeSigned(g Guest, root, dir string) error {
	if !g.HasFirmware() {
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
// image's kernel with these words, or the kernel that the guest's own package manager has made the first one.
func (img Image) writeFirmware(dir string, words []string) error {
	esp := filepath.Join(dir, bootFolder)
	if err := os.RemoveAll(esp); err != nil {
		return err
	}
	files := map[string]string{variablesFile(dir): img.Guest.firmware().variables}
	search := "search --no-floppy --set=root --file /vmlinuz\n" // the disk has it, by a link
	if !img.Guest.FromDisk {
		search = ""
		files[filepath.Join(esp, "vmlinuz")], files[filepath.Join(esp, "initrd.img")] = img.Kernel, img.Initrd
	}
	for name := range signedFiles {
		files[filepath.Join(esp, name)] = filepath.Join(img.Dir, bootFolder, name)
	}
	for to, from := range files {
		if _, err := copyFile(to, from); err != nil {
			return err
		}
	}
	menu := search + fmt.Sprintf("linux /vmlinuz %s\ninitrd /initrd.img\nboot\n", strings.Join(words, " "))
	return writeFile(filepath.Join(esp, "EFI/debian/grub.cfg"), menu, 0o644)
}

// diskInterface is how the emulator shows the guest's disk: by itself, or by the device of firmwareArguments, which has the lower place on the bus in
// either case and so is the kernel's first.
func (g Guest) diskInterface() string {
	if g.FromDisk {
		return "none,id=disk"
	}
	return "virtio"
}

func variablesFile(dir string) string { return filepath.Join(dir, "variables.fd") }

// firmwareArguments have the emulator boot what writeFirmware made in dir. Under Secure Boot only code in system management mode may write the variables, so that
// the guest's kernel cannot switch Secure Boot off. The boot partition is a folder that the emulator shows as a FAT disk, behind the other two in their order.
func (g Guest) firmwareArguments(dir string) []string {
	// GRUB sees no disk but those that the firmware may boot from.
	args := []string{"-machine", "q35", "-device", "virtio-blk-pci,drive=disk,bootindex=1"}
	if g.SecureBoot {
		args = []string{"-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"}
	}
	return append(args,
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+g.firmware().code,
		"-drive", "if=pflash,unit=1,format=raw,file="+variablesFile(dir),
		"-drive", "if=none,id=esp,format=raw,readonly=on,file=fat:"+filepath.Join(dir, bootFolder), "-device", "virtio-blk-pci,drive=esp,bootindex=0,addr=0x10")
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
