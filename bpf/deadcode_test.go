package bpf

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// deadCases are programs that ask a constant: 1 is at 0 in their section, and 0 behind that.
var deadCases = []struct {
	name string
	in   asm.Instructions
	want string // lines of the instructions left
}{
	{
		"a jump that is made leads over what is dead, and what it asks is gone",
		asm.Instructions{
			asm.Mov.Imm(asm.R0, 0),
			constant(asm.R6, 0), asm.LoadMem(asm.R6, asm.R6, 0, asm.Word), jump(asm.JNE, asm.R6, 0, 3),
			wide(asm.R2), asm.Mov.Imm(asm.R0, 1), // three units
			asm.FnKtimeGetNs.Call(), asm.Return(),
		},
		"Mov Imm r0 0; Call FnKtimeGetNs; Exit",
	},
	{
		"one that is not made is gone, and what it would have led to",
		asm.Instructions{
			asm.Mov.Imm(asm.R0, 0),
			constant(asm.R1, 4), asm.LoadMem(asm.R1, asm.R1, 0, asm.Word), jump(asm.JNE, asm.R1, 0, 2),
			asm.Mov.Imm(asm.R0, 2), asm.Return(),
			asm.Mov.Imm(asm.R0, 3), asm.Return(),
		},
		"Mov Imm r0 0; Mov Imm r0 2; Exit",
	},
	{
		"a jump over another's dead arm is as much shorter, in both directions",
		asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			jump(asm.JEq, asm.R6, 7, 8), // to the end
			constant(asm.R1, 4), asm.LoadMem(asm.R1, asm.R1, 0, asm.Word), jump(asm.JEq, asm.R1, 0, 2),
			asm.FnKtimeGetNs.Call(), asm.FnKtimeGetNs.Call(),
			asm.Add.Imm(asm.R6, 1),
			jump(asm.JLT, asm.R6, 9, -8), // back to what asks
			asm.Mov.Imm(asm.R0, 0), asm.Return(),
		},
		"Mov Reg r6 r1; JEq r6 7 +2; Add Imm r6 1; JLT r6 9 -2; Mov Imm r0 0; Exit",
	},
	{
		"what a register holds that is read later stays",
		asm.Instructions{
			asm.Mov.Imm(asm.R0, 0), asm.Mov.Imm(asm.R2, 5),
			constant(asm.R1, 0), asm.LoadMem(asm.R1, asm.R1, 0, asm.Word), jump(asm.JEq, asm.R1, 0, 1),
			asm.Mov.Reg(asm.R2, asm.R1), asm.Mov.Reg(asm.R0, asm.R2), asm.Return(),
		},
		"Mov Imm r0 0; Constant r1; Load r1 r1; Mov Reg r2 r1; Mov Reg r0 r2; Exit",
	},
	{
		"what differs by the way there is not known",
		asm.Instructions{
			asm.Mov.Imm(asm.R2, 0),
			jump(asm.JEq, asm.R1, 7, 1),
			asm.Mov.Imm(asm.R2, 1),
			jump(asm.JEq, asm.R2, 0, 1),
			asm.FnKtimeGetNs.Call(),
			asm.Mov.Imm(asm.R0, 0), asm.Return(),
		},
		"Mov Imm r2 0; JEq r1 7 +1; Mov Imm r2 1; JEq r2 0 +1; Call FnKtimeGetNs; Mov Imm r0 0; Exit",
	},
	{
		"a call leaves nothing in the registers of its arguments",
		asm.Instructions{
			asm.Mov.Imm(asm.R1, 0), asm.FnKtimeGetNs.Call(),
			jump(asm.JEq, asm.R1, 0, 1),
			asm.FnKtimeGetNs.Call(),
			asm.Mov.Imm(asm.R0, 0), asm.Return(),
		},
		"Mov Imm r1 0; Call FnKtimeGetNs; JEq r1 0 +1; Call FnKtimeGetNs; Mov Imm r0 0; Exit",
	},
	{
		"a call may read the registers of its arguments",
		asm.Instructions{
			asm.Mov.Imm(asm.R6, 0), asm.Mov.Imm(asm.R5, 0), asm.Mov.Imm(asm.R6, 1),
			asm.FnKtimeGetNs.Call(), asm.Mov.Reg(asm.R0, asm.R6), asm.Return(),
		},
		"Mov Imm r6 0; Mov Imm r5 0; Mov Imm r6 1; Call FnKtimeGetNs; Mov Reg r0 r6; Exit",
	},
	{
		"what relocation will change is not known",
		asm.Instructions{
			btf.WithCORERelocationMetadata(asm.Mov.Imm(asm.R1, 1), &btf.CORERelocation{}),
			jump(asm.JEq, asm.R1, 0, 1),
			asm.FnKtimeGetNs.Call(),
			asm.Mov.Imm(asm.R0, 0), asm.Return(),
		},
		"Mov Imm r1 1; JEq r1 0 +1; Call FnKtimeGetNs; Mov Imm r0 0; Exit",
	},
	{
		"a jump that is always made stays where something is between, and compares no more",
		asm.Instructions{
			jump(asm.JEq, asm.R1, 7, 4),
			constant(asm.R1, 0), asm.LoadMem(asm.R1, asm.R1, 0, asm.Word), jump(asm.JNE, asm.R1, 0, 2),
			asm.Mov.Imm(asm.R0, 1), asm.Return(),
			asm.Mov.Imm(asm.R0, 2), asm.Return(),
		},
		"JEq r1 7 +1; Ja +2; Mov Imm r0 1; Exit; Mov Imm r0 2; Exit",
	},
	{
		"of functions those stay that are called, and those that they call",
		asm.Instructions{
			constant(asm.R6, 0), asm.LoadMem(asm.R6, asm.R6, 0, asm.Word), jump(asm.JNE, asm.R6, 0, 1),
			callTo("dead"),
			callTo("live"), asm.Mov.Imm(asm.R0, 0), asm.Return(),
			asm.Mov.Imm(asm.R0, 1).WithSymbol("dead"), asm.Return(),
			callTo("deeper").WithSymbol("live"), asm.Return(),
			asm.Mov.Imm(asm.R0, 3).WithSymbol("deeper"), asm.Return(),
		},
		"Constant r6; Call live; Mov Imm r0 0; Exit; live: Call deeper; Exit; deeper: Mov Imm r0 3; Exit",
	},
	{
		"what ends without an end is left alone",
		asm.Instructions{constant(asm.R1, 0), asm.LoadMem(asm.R1, asm.R1, 0, asm.Word), jump(asm.JNE, asm.R1, 0, 1), asm.Return(), asm.Mov.Imm(asm.R0, 1)},
		"Constant r1; Load r1 r1; JNE r1 0 +1; Exit; Mov Imm r0 1",
	},
}

// constant loads the address of one.
func constant(to asm.Register, at int64) asm.Instruction {
	return asm.LoadMapValue(to, 0, uint32(at)).WithReference(constantSection)
}

func wide(to asm.Register) asm.Instruction { return asm.LoadImm(to, 1<<40, asm.DWord) }

func jump(op asm.JumpOp, r asm.Register, n int32, distance int16) asm.Instruction {
	return asm.Instruction{OpCode: op.Op(asm.ImmSource), Dst: r, Constant: int64(n), Offset: distance}
}

func callTo(name string) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoCall, Constant: -1}.WithReference(name)
}

// text has the instructions that deadCases are made of.
func text(program asm.Instructions) string {
	var all []string
	for i := range program {
		ins := &program[i]
		s := ""
		if ins.Symbol() != "" && i > 0 {
			s = ins.Symbol() + ": "
		}
		switch op := ins.OpCode; {
		case ins.IsFunctionCall():
			s += "Call " + ins.Reference()
		case ins.IsBuiltinCall():
			s += "Call " + asm.BuiltinFunc(ins.Constant).String()
		case op.IsDWordLoad():
			s += fmt.Sprintf("Constant %v", ins.Dst)
		case op.Class() == asm.LdXClass:
			s += fmt.Sprintf("Load %v %v", ins.Dst, ins.Src)
		case op.JumpOp() == asm.Exit:
			s += "Exit"
		case op.JumpOp() == asm.Ja:
			s += fmt.Sprintf("Ja %+d", ins.Offset)
		case op.Class().IsJump():
			s += fmt.Sprintf("%v %v %d %+d", op.JumpOp(), ins.Dst, ins.Constant, ins.Offset)
		case op.Source() == asm.RegSource:
			s += fmt.Sprintf("%v Reg %v %v", op.ALUOp(), ins.Dst, ins.Src)
		default:
			s += fmt.Sprintf("%v Imm %v %d", op.ALUOp(), ins.Dst, ins.Constant)
		}
		all = append(all, s)
	}
	return strings.Join(all, "; ")
}

func TestWithoutDead(t *testing.T) {
	for _, c := range deadCases {
		t.Run(c.name, func(t *testing.T) {
			c.in[0] = c.in[0].WithSymbol("program")
			d := newDeadCode(constants{0: binary.NativeEndian.AppendUint32(nil, 1), 4: make([]byte, 4)}, true)
			if got := text(d.withoutDead(c.in)); got != c.want {
				t.Errorf("left is\n%s, expected\n%s", got, c.want)
			}
		})
	}
}

// All that a program calls is there, each function begins with what is told of it, and jumps
// lead to instructions.
func TestWithoutDeadOfPrograms(t *testing.T) {
	for _, set := range []map[string]uint32{
		{"typed": 0, "casts": 0, "fronts": 0}, {"typed": 0, "casts": 0, "fronts": 1}, {"typed": 1, "casts": 0, "fronts": 1}, {"typed": 1, "casts": 1, "fronts": 0},
	} {
		var before, after int
		for _, o := range objects {
			spec, err := o.load()
			if err != nil {
				t.Fatal(err)
			}
			for name, n := range set {
				if v := spec.Variables[name]; v != nil {
					if err := v.Set(n); err != nil {
						t.Fatal(err)
					}
				}
			}
			d := newDeadCode(constantsOf(spec), false)
			for name, p := range spec.Programs {
				left := d.withoutDead(p.Instructions)
				before, after = before+len(p.Instructions), after+len(left)
				whole(t, name, left)
				if set["casts"] == 0 && len(kernelCalls(left)) > 0 {
					t.Errorf("%v: %s still calls %q", set, name, kernelCalls(left))
				}
				if d := newDeadCode(constantsOf(spec), false); len(d.withoutDead(left)) != len(left) {
					t.Errorf("%v: of %s not all was taken that is dead", set, name)
				}
			}
		}
		t.Logf("%v: %d instructions, %d left", set, before, after)
		if after > before*9/10 {
			t.Errorf("%v: %d of %d instructions are left", set, after, before)
		}
	}
}

func whole(t *testing.T, name string, program asm.Instructions) {
	t.Helper()
	if program.Name() != name {
		t.Errorf("%s begins with %q", name, program.Name())
	}
	names := functions(program)
	index := map[int]bool{}
	at := 0
	for i := range program {
		index[at] = true
		at += int(program[i].Width())
	}
	at = 0
	for i := range program {
		ins := &program[i]
		if ins.Symbol() != "" && (btf.FuncMetadata(ins) == nil || ins.Source() == nil) {
			t.Errorf("%s: %s has no type or no line", name, ins.Symbol())
		}
		if ins.IsFunctionReference() && !strings.Contains(" "+strings.Join(names, " ")+" ", " "+ins.Reference()+" ") {
			t.Errorf("%s: instruction %d refers to %s, which is not there", name, i, ins.Reference())
		}
		if jumps(ins) && !index[at+1+int(ins.Offset)] {
			t.Errorf("%s: instruction %d jumps to the middle of one, or out of the program", name, i)
		}
		at += int(ins.Width())
	}
}
