package bpf

import (
	"encoding/binary"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Programs ask constants of theirs what the kernel has, which fit sets. What they do not come to for that reason is taken out here, and what
// only asks. The verifier would do the former too, but range by range, and moves all of the program that stands behind it with what
// it noted of each instruction: that was a fifth of a start of the daemon. And what is gone is not relocated.

// constantSection is where variables are that nobody can change once they are loaded.
const constantSection = ".rodata"

// constants are the bytes of such variables, by their places in the section.
type constants map[int64][]byte

// constantsOf has those of an object as they would be loaded now.
func constantsOf(spec *ebpf.CollectionSpec) constants {
	c := constants{}
	for _, v := range spec.Variables {
		if v.SectionName == constantSection {
			c[int64(v.Offset)] = v.Value
		}
	}
	return c
}

// number reads one that is where a constant begins.
func (c constants) number(at int64, size asm.Size) known {
	b := c[at]
	if len(b) < size.Sizeof() {
		return known{}
	}
	switch size {
	case asm.Byte:
		return known{aNumber, int64(b[0])}
	case asm.Half:
		return known{aNumber, int64(binary.NativeEndian.Uint16(b))}
	case asm.Word:
		return known{aNumber, int64(binary.NativeEndian.Uint32(b))}
	case asm.DWord:
		return known{aNumber, int64(binary.NativeEndian.Uint64(b))}
	}
	return known{}
}

// known is what is known of a register.
type known struct {
	is     knownAs
	number int64
}

type knownAs uint8

const (
	unknown knownAs = iota
	aNumber
	anAddress // number bytes into the section of constants
)

// registers is what is known of all of them before an instruction.
type registers [asm.RFP + 1]known

// forget leaves what other knows too, and reports whether that is less than it was.
func (r *registers) forget(other *registers) bool {
	less := false
	for i := range r {
		if r[i].is != unknown && r[i] != other[i] {
			r[i], less = known{}, true
		}
	}
	return less
}

// do changes what is known as an instruction does. It reports whether that is all it does: that a register is known then.
func (r *registers) do(ins *asm.Instruction, c constants) bool {
	switch op := ins.OpCode; op.Class() {
	case asm.JumpClass, asm.Jump32Class:
		if op.JumpOp() == asm.Call {
			clear(r[asm.R0 : asm.R5+1])
		}
	case asm.StClass:
	case asm.StXClass:
		if op.Mode() != asm.MemMode { // atomic ones may load too
			r[ins.Dst], r[ins.Src], r[asm.R0] = known{}, known{}, known{}
		}
	case asm.LdClass:
		if !op.IsDWordLoad() { // a byte of a packet
			*r = registers{}
			break
		}
		fallthrough
	default:
		r[ins.Dst] = r.result(ins, c)
		return r[ins.Dst].is != unknown
	}
	return false
}

// result is what is known of the register that an instruction sets. What relocation is going to change is not.
func (r *registers) result(ins *asm.Instruction, c constants) known {
	switch op := ins.OpCode; {
	case btf.CORERelocationMetadata(ins) != nil:
	case op.IsDWordLoad() && ins.Src == asm.PseudoMapValue && ins.Reference() == constantSection:
		return known{anAddress, ins.Constant >> 32}
	case op == asm.Mov.Op(asm.ImmSource):
		return known{aNumber, ins.Constant}
	case op == asm.Mov.Op(asm.RegSource):
		return r[ins.Src]
	case op.Class() == asm.LdXClass && op.Mode() == asm.MemMode && r[ins.Src].is == anAddress:
		return c.number(r[ins.Src].number+int64(ins.Offset), op.Size())
	}
	return known{}
}

// equal tells whether what a jump compares is, and whether that is known.
func (r *registers) equal(ins *asm.Instruction) (equal, ok bool) {
	a, b := r[ins.Dst], known{aNumber, ins.Constant}
	if ins.OpCode.Source() == asm.RegSource {
		b = r[ins.Src]
	}
	if a.is != aNumber || b.is != aNumber || btf.CORERelocationMetadata(ins) != nil {
		return false, false
	}
	if ins.OpCode.Class() == asm.Jump32Class {
		return uint32(a.number) == uint32(b.number), true
	}
	return a.number == b.number, true
}

// way is where a program goes from an instruction, as far as was found out, and what it does there.
type way uint8

const (
	toNext way = 1 << iota
	toTarget
	comes // there
	does  // something else than to set a register to what is known
)

// deadCode takes it out of programs whose functions of the same name are the same.
type deadCode struct {
	constants constants
	lines     bool                 // of the source stay with the instructions
	functions map[string]*function // done
}

func newDeadCode(c constants, lines bool) *deadCode {
	return &deadCode{constants: c, lines: lines, functions: map[string]*function{}}
}

// withoutDead returns a program without what it does not come to.
func (d *deadCode) withoutDead(program asm.Instructions) asm.Instructions {
	var all []*function
	byName := map[string]*function{}
	for from := 0; from < len(program); {
		to := from + 1
		for to < len(program) && program[to].Symbol() == "" {
			to++
		}
		name := program[from].Symbol()
		f := d.functions[name]
		if f == nil {
			f = newFunction(program[from:to], d.constants)
			if !d.lines {
				withoutLines(f.left)
			}
			d.functions[name] = f
		}
		byName[name] = f
		all = append(all, f)
		from = to
	}
	pending, called := all[:1:1], map[*function]bool{all[0]: true}
	for len(pending) > 0 {
		f := pending[0]
		pending = pending[1:]
		for _, name := range f.calls {
			if next := byName[name]; next != nil && !called[next] {
				called[next] = true
				pending = append(pending, next)
			}
		}
	}
	var left []asm.Instructions
	for _, f := range all {
		if called[f] {
			left = append(left, f.left)
		}
	}
	return slices.Concat(left...)
}

// function is one of a program's, and where it goes.
type function struct {
	code  asm.Instructions
	at    []int // of instructions, in units of 8 bytes, by which jumps count
	index []int // the other way about; -1 is the middle of one

	ways    []way
	before  map[int]*registers // where a jump leads to or the function begins
	pending []int              // of these, what has become less known

	left  asm.Instructions // without what it does not come to
	calls []string         // what functions left refers to
}

func newFunction(code asm.Instructions, c constants) *function {
	f := &function{code: code, left: code}
	for i := range code {
		f.at = append(f.at, len(f.index))
		f.index = append(f.index, i)
		for range code[i].Width() - 1 {
			f.index = append(f.index, -1)
		}
	}
	if f.follow(c) {
		f.left = f.rest()
	}
	for i := range f.left {
		if f.left[i].IsFunctionReference() {
			f.calls = append(f.calls, f.left[i].Reference())
		}
	}
	return &function{left: f.left, calls: f.calls}
}

// follow finds out what the function comes to. It reports whether all jumps in it are understood.
func (f *function) follow(c constants) bool {
	f.ways = make([]way, len(f.code))
	f.before = map[int]*registers{}
	for i := range f.code {
		if jumps(&f.code[i]) {
			to, ok := f.target(i)
			if !ok {
				return false
			}
			f.before[to] = nil
		}
	}
	f.before[0] = &registers{}
	f.pending = []int{0}
	for len(f.pending) > 0 {
		i := f.pending[len(f.pending)-1]
		f.pending = f.pending[:len(f.pending)-1]
		if !f.run(i, c) {
			return false
		}
	}
	return true
}

// run goes on from where a jump leads to until a jump leads elsewhere or to the next such place. It reports whether that is in the function.
func (f *function) run(i int, c constants) bool {
	known := *f.before[i]
	for {
		ins := &f.code[i]
		w := known.ways(ins) | comes
		if !known.do(ins, c) {
			w |= does
		}
		f.ways[i] |= w
		if w&toTarget != 0 {
			to, _ := f.target(i)
			f.reach(to, &known)
		}
		if w&toNext == 0 {
			return true
		}
		if i++; i == len(f.code) {
			return false
		}
		if _, ok := f.before[i]; ok {
			f.reach(i, &known)
			return true
		}
	}
}

// reach notes that a jump leads somewhere, and what is known then.
func (f *function) reach(i int, r *registers) {
	if f.before[i] == nil {
		f.before[i] = new(*r)
	} else if !f.before[i].forget(r) {
		return
	}
	f.pending = append(f.pending, i)
}

// ways tells where the program goes on from an instruction.
func (r *registers) ways(ins *asm.Instruction) way {
	if !ins.OpCode.Class().IsJump() {
		return toNext
	}
	same, other := toTarget, toNext
	switch ins.OpCode.JumpOp() {
	case asm.Exit:
		return 0
	case asm.Call:
		return toNext
	case asm.Ja:
		return toTarget
	case asm.JNE:
		same, other = toNext, toTarget
	case asm.JEq:
	default:
		return toNext | toTarget
	}
	equal, ok := r.equal(ins)
	switch {
	case !ok:
		return same | other
	case equal:
		return same
	}
	return other
}

// jumps reports whether an instruction may go on elsewhere.
func jumps(ins *asm.Instruction) bool {
	op := ins.OpCode.JumpOp()
	return op != asm.InvalidJumpOp && op != asm.Call && op != asm.Exit
}

// target is where a jump leads to. Compilers do not make those to a name, and they are not understood here.
func (f *function) target(i int) (int, bool) {
	ins := &f.code[i]
	distance := int(ins.Offset)
	if isFar(ins) {
		distance = int(ins.Constant)
	}
	to := f.at[i] + 1 + distance
	if to < 0 || to >= len(f.index) || f.index[to] < 0 || ins.Reference() != "" {
		return 0, false
	}
	return f.index[to], true
}

// isFar reports whether a jump has its distance where there is room for more.
func isFar(ins *asm.Instruction) bool {
	return ins.OpCode.Class() == asm.Jump32Class && ins.OpCode.JumpOp() == asm.Ja
}

// rest makes the function anew of what stays. A jump to what is gone leads to what stays behind that.
func (f *function) rest() asm.Instructions {
	stays := f.stays()
	at, size, n := make([]int, len(f.code)), 0, 0
	for i := range f.code {
		at[i] = size
		if stays[i] {
			size += int(f.code[i].Width())
			n++
		}
	}
	rest := make(asm.Instructions, 0, n)
	for i := range f.code {
		if !stays[i] {
			continue
		}
		ins := f.code[i]
		if f.ways[i]&toTarget != 0 {
			to, _ := f.target(i)
			distance := at[to] - at[i] - 1
			switch {
			case isFar(&ins):
				ins.Constant = int64(distance)
			case f.ways[i]&toNext == 0:
				ins = asm.Instruction{OpCode: asm.Ja.Op(asm.ImmSource), Offset: int16(distance), Metadata: ins.Metadata}
			default:
				ins.Offset = int16(distance)
			}
		}
		rest = append(rest, ins)
	}
	return rest
}

// stays tells which instructions do: those that the program comes to, but for jumps that are never made or lead to what is next anyway, and
// for what sets a register that nobody reads. What the function begins with has what is told of it, and stays.
func (f *function) stays() []bool {
	stays := make([]bool, len(f.code))
	read := f.read()
	following := len(f.code) // the next that stays
	for i := len(f.code) - 1; i > 0; i-- {
		ins, w := &f.code[i], f.ways[i]
		switch {
		case w&comes == 0:
		case w&does == 0:
			stays[i] = read[i]&set(ins) != 0
		case !jumps(ins) || w&toNext != 0 && w&toTarget != 0:
			stays[i] = true
		case w&toTarget != 0:
			to, _ := f.target(i)
			stays[i] = to <= i || to > following
		}
		if stays[i] {
			following = i
		}
	}
	stays[0] = true
	return stays
}

// registerSet has a bit for each register.
type registerSet uint16

const (
	arguments     registerSet = 1<<asm.R1 | 1<<asm.R2 | 1<<asm.R3 | 1<<asm.R4 | 1<<asm.R5
	everyRegister             = ^registerSet(0)
)

// read tells of each instruction which registers are read behind it. What only sets one that nobody reads does not count as reading.
func (f *function) read() []registerSet {
	behind, before := make([]registerSet, len(f.code)), make([]registerSet, len(f.code))
	for again := true; again; {
		again = false
		for i := len(f.code) - 1; i >= 0; i-- {
			w := f.ways[i]
			if w&comes == 0 {
				continue
			}
			var b registerSet
			if w&toNext != 0 {
				b = before[i+1]
			}
			if w&toTarget != 0 {
				to, _ := f.target(i)
				b |= before[to]
			}
			behind[i] = b
			ins := &f.code[i]
			if sets := set(ins); w&does != 0 || sets&b != 0 {
				b = b&^sets | used(ins, w)
			}
			again = again || b != before[i]
			before[i] = b
		}
	}
	return behind
}

// set has the registers whose values before an instruction are of no use behind it.
func set(ins *asm.Instruction) registerSet {
	switch op := ins.OpCode; {
	case op.JumpOp() == asm.Call:
		return 1<<asm.R0 | arguments
	case op.Class() == asm.LdXClass, op.IsDWordLoad(), op.ALUOp() == asm.Mov:
		return 1 << ins.Dst
	}
	return 0
}

// used has the registers that an instruction may read.
func used(ins *asm.Instruction, w way) registerSet {
	operands := registerSet(1<<ins.Dst | 1<<ins.Src)
	switch op := ins.OpCode; op.Class() {
	case asm.JumpClass, asm.Jump32Class:
		switch {
		case op.JumpOp() == asm.Call:
			return arguments
		case op.JumpOp() == asm.Exit:
			return 1 << asm.R0
		case w&toNext != 0 && w&toTarget != 0:
			return operands
		}
		return 0
	case asm.LdXClass:
		return 1 << ins.Src
	case asm.LdClass:
		if op.IsDWordLoad() {
			return 0
		}
	case asm.ALUClass, asm.ALU64Class:
		switch {
		case op.ALUOp() == asm.Mov && op.Source() == asm.ImmSource:
			return 0
		case op.ALUOp() == asm.Mov:
			return 1 << ins.Src
		}
		return operands
	case asm.StClass, asm.StXClass:
		if op.Mode() == asm.MemMode {
			return operands
		}
	}
	return everyRegister
}

// withoutLines takes out of a function which line of the source each instruction is of. The kernel wants to know the first one's.
func withoutLines(code asm.Instructions) {
	for i := 1; i < len(code); i++ {
		if code[i].Source() != nil {
			code[i] = code[i].WithSource(nil)
		}
	}
}
