package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const emulator = "qemu-system-x86_64"

// ErrGuestDied is in the chain when a guest ended, or was ended, before its payload said how it went.
var ErrGuestDied = errors.New("the guest ended before its payload did")

// Boot starts a fresh copy of a guest, runs the payload and returns the payload's exit status. The payload's output goes to out as it
// comes; dir keeps the console's log (serial.log). The guest has no network. It is ended at the row's time limit.
// A guest with firmware may be booted again, with its disk and its firmware's variables as they are then: see RebootLine.
func Boot(ctx context.Context, img Image, p Payload, dir string, out io.Writer) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, img.Guest.Timeout, fmt.Errorf("%s: its time limit of %s is over", img.Guest.Name, img.Guest.Timeout))
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if err := img.prepare(ctx, p, dir, "amp-lab.target"); err != nil {
		return 0, err
	}
	defer clean(dir)
	serial := filepath.Join(dir, "serial.log")
	args := append(img.arguments(dir, "amp-lab.target"),
		"-chardev", "stdio,id=port,signal=off", "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port,name=amp-lab")
	cmd := exec.CommandContext(ctx, emulator, args...)
	reboot, leave, err := img.sitDown(ctx, cmd, serial)
	if err != nil {
		return 0, err
	}
	defer leave()
	// An end of file on the emulator's standard input would unplug the port, and the guest's writes to it would wait for ever.
	if _, err := cmd.StdinPipe(); err != nil {
		return 0, err
	}
	port, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	status, told := 0, false
	err = runBound(cmd, func() error {
		status, told, err = follow(port, out, func(password string) error {
			err := reboot(password)
			if err != nil {
				end(err)
			}
			return err
		})
		return err
	})
	switch {
	case ctx.Err() != nil:
		return 0, fmt.Errorf("%w: %w; console: %s", context.Cause(ctx), ErrGuestDied, serial)
	case err != nil:
		return 0, fmt.Errorf("%s: %w", img.Guest.Name, err)
	case !told:
		return 0, fmt.Errorf("%s: %w; console: %s", img.Guest.Name, ErrGuestDied, serial)
	}
	return status, nil
}

// sitDown gives the guest that cmd will be a console, which is kept in log, and someone before it for as long as leave is not called: what to do
// while the guest boots again, with the password for the key screen.
func (img Image) sitDown(ctx context.Context, cmd *exec.Cmd, log string) (reboot func(password string) error, leave func(), err error) {
	if !img.Guest.HasFirmware() {
		cmd.Args = append(cmd.Args, "-serial", "file:"+log)
		once := fmt.Errorf("%s: only a guest with firmware is booted again", img.Guest.Name)
		return func(string) error { return once }, func() {}, nil
	}
	kept, err := os.Create(log)
	if err != nil {
		return nil, nil, err
	}
	line, err := connectConsole(cmd)
	if err != nil {
		kept.Close()
		return nil, nil, err
	}
	screen := newConsole(line, kept)
	reboot = func(password string) error {
		if password == "" {
			return nil
		}
		return screen.enrol(ctx, password)
	}
	return reboot, func() {
		line.Close()
		kept.Close()
	}, nil
}

// Shell boots a fresh copy of a guest and connects a root login in it with this program's terminal. The guest ends with the login.
func Shell(ctx context.Context, img Image, p Payload, dir string) error {
	if err := img.prepare(ctx, p, dir, "amp-lab-shell.target"); err != nil {
		return err
	}
	defer clean(dir)
	args := append(img.arguments(dir, "amp-lab-shell.target"), "-serial", "file:"+filepath.Join(dir, "serial.log"),
		"-chardev", "stdio,id=port,signal=off", "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=port")
	cmd := exec.CommandContext(ctx, emulator, args...)
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	return runBound(cmd, func() error { return nil })
}

// prepare writes into dir what the guest is booted from beside its disk.
func (img Image) prepare(ctx context.Context, p Payload, dir, target string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if img.Guest.HasFirmware() {
		if err := img.writeFirmware(dir, img.words(target)); err != nil {
			return err
		}
	}
	log, err := os.Create(filepath.Join(dir, "payload.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	return p.write(ctx, payloadDrive(dir), log)
}

// clean removes what is large of it.
func clean(dir string) {
	os.Remove(payloadDrive(dir))
	os.RemoveAll(filepath.Join(dir, bootFolder))
}

func payloadDrive(dir string) string { return filepath.Join(dir, "payload.img") }

// words are the kernel's command line.
func (img Image) words(target string) []string {
	words := []string{"root=/dev/vda", "rw", "console=ttyS0", "panic=-1", "mitigations=off", "systemd.unit=" + target, "systemd.show_status=1"}
	if s := img.Guest.SELinux; s.Enabled() {
		words = append(words, "security=selinux", "selinux=1")
	}
	return append(words, img.Guest.Cmdline...)
}

// processor is all that is emulated, but for the promise that string instructions are fast (ERMS): Linux and libc would then clear and copy memory by
// those of a byte, each of which is emulated by itself, and counted as one. A real processor takes a few dozen of them at a time. What
// fills memory takes half as long without.
const processor = "max,-erms"

// arguments are those of the emulator, without what the payload's port and the console need. KVM is not used: the machines that run this have it
// in name only, and figures and timing are then the same everywhere.
func (img Image) arguments(dir, target string) []string {
	args := append(img.Guest.clock(),
		"-cpu", processor, "-smp", strconv.Itoa(img.Guest.CPUs), "-m", strconv.Itoa(img.Guest.MemoryMiB),
		"-nodefaults", "-no-user-config", "-display", "none", "-nic", "none",
		"-drive", "file="+img.Disk+",if="+img.Guest.diskInterface()+",format=raw,snapshot=on",
		"-drive", "file="+payloadDrive(dir)+",if=virtio,format=raw,readonly=on",
		"-device", "virtio-rng-pci",
	)
	if img.Guest.HasFirmware() {
		return append(args, img.Guest.firmwareArguments(dir)...)
	}
	return append(args, "-no-reboot", "-kernel", img.Kernel, "-initrd", img.Initrd, "-append", strings.Join(img.words(target), " "))
}

// clock says what the guest's time is: the machine's, or the number of instructions that it has executed, one a nanosecond. Time in which
// the guest has nothing to do is then skipped.
func (g Guest) clock() []string {
	if g.Counted {
		return []string{"-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"}
	}
	// One thread for all of its processors: with one for each, a processor was seen to run for ever into a breakpoint that the other one
	// had long replaced (text_poke of a static key, which attaching to a system call's tracepoint turns).
	return []string{"-accel", "tcg,thread=single"}
}

// runBound starts cmd, does work, and waits. The emulator ends with this program even when this program is killed; the kernel binds
// that to the thread that started it, so the thread is kept.
func runBound(cmd *exec.Cmd, work func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var errs strings.Builder
	cmd.Stderr = &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	for _, f := range cmd.ExtraFiles { // they are the emulator's now, and end with it
		f.Close()
	}
	err := work()
	if werr := cmd.Wait(); werr != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), werr, lastLine(errs.String()))
	}
	return err
}

// exitLine is how the guest's amp-lab program ends the payload's output.
const exitLine = "amp-lab: exit "

// RebootLine is how a payload says that it boots the guest again, and will then be run again. A word behind it is the password
// that shim's key manager will ask for on that way, to enrol a key; without one nobody is at the screen.
const RebootLine = "amp-lab: reboot"

// follow copies the payload's lines to out and reads the exit status from the last one. reboot is called while the guest boots again.
func follow(port io.Reader, out io.Writer, reboot func(password string) error) (status int, told bool, err error) {
	r := bufio.NewReader(port)
	for {
		line, err := r.ReadString('\n')
		// The port is a terminal in the guest's eyes only when something set it up so; some do.
		line = strings.TrimRight(line, "\r\n")
		if n, ok := strings.CutPrefix(line, exitLine); ok {
			status, told = parseStatus(n)
		} else if password, ok := strings.CutPrefix(line, RebootLine); ok {
			if err := reboot(strings.TrimSpace(password)); err != nil {
				return 0, false, err
			}
		} else if line != "" || err == nil {
			if _, werr := fmt.Fprintln(out, line); werr != nil {
				return 0, false, werr
			}
		}
		if errors.Is(err, io.EOF) {
			return status, told, nil
		}
		if err != nil {
			return 0, false, err
		}
	}
}

// parseStatus reads an exit status.
func parseStatus(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && n <= 255
}
