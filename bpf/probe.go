package bpf

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// probe loads a program of the type, with the helpers and maps that ours use, and drops it again. It is not attached.
func probe() error {
	return withMemlock(func() error {
		ring, err := ebpf.NewMap(&ebpf.MapSpec{Name: "amp_probe", Type: ebpf.RingBuf, MaxEntries: uint32(os.Getpagesize())})
		if err != nil {
			return brief(err)
		}
		defer ring.Close()
		array, err := ebpf.NewMap(&ebpf.MapSpec{Name: "amp_probe", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1})
		if err != nil {
			return brief(err)
		}
		defer array.Close()
		prog, err := ebpf.NewProgramWithOptions(&ebpf.ProgramSpec{
			Name:         "amp_probe",
			Type:         ebpf.RawTracepoint,
			License:      "Dual BSD/GPL",
			Instructions: probeInstructions(ring.FD(), array.FD()),
		}, ebpf.ProgramOptions{LogSizeStart: 4096})
		if err != nil {
			return brief(err)
		}
		return prog.Close()
	})
}

// probeInstructions reads kernel memory and user memory, looks into a map and writes to a ring: lockdown, for one, refuses just the first.
func probeInstructions(ring, array int) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R6, 0),
		asm.StoreMem(asm.RFP, -8, asm.R6, asm.DWord),
		asm.LoadMem(asm.R3, asm.R1, 0, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, -8),
		asm.Mov.Imm(asm.R2, 8),
		asm.FnProbeReadKernel.Call(),

		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, -8),
		asm.Mov.Imm(asm.R2, 8),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnProbeReadUser.Call(),

		asm.FnKtimeGetBootNs.Call(),
		asm.StoreMem(asm.RFP, -8, asm.R6, asm.DWord),
		asm.LoadMapPtr(asm.R1, array),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -8),
		asm.FnMapLookupElem.Call(),

		asm.LoadMapPtr(asm.R1, ring),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -8),
		asm.Mov.Imm(asm.R3, 8),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),

		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
}

// refused is an error of bpf(2) with the end of the verifier's log in its text; the errno stays within reach of errors.Is.
type refused struct {
	err  error
	text string
}

func (r *refused) Error() string { return r.text }
func (r *refused) Unwrap() error { return r.err }

// brief shortens the verifier's log to its last lines: the reason stands there, and the whole can be a megabyte.
func brief(err error) error {
	var ve *ebpf.VerifierError
	if !errors.As(err, &ve) || len(ve.Log) == 0 {
		return err
	}
	const lines, bytes = 6, 800
	log := ve.Log[max(0, len(ve.Log)-lines):]
	tail := strings.Join(log, "\n\t")
	tail = tail[max(0, len(tail)-bytes):]
	return &refused{err: err, text: fmt.Sprintf("%v; the verifier's last lines:\n\t%s", ve.Cause, strings.ToValidUTF8(tail, "?"))}
}
