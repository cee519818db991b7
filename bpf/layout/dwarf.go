package layout

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Bounds of the debug information of one object: its types are those of the structures we name and what is in them, a few hundred.
const (
	maxTypes    = 1 << 14
	maxChildren = 1 << 13 // of one type; enum bpf_func_id has more than 200
	maxName     = 512     // bytes
	maxSize     = 1 << 20 // bytes of a type
	maxElements = 1 << 20
	maxEntries  = 1 << 22 // that are read, some of them several times; a kernel's headers have 100 000
)

// wantedPrefix begins the names of the variables of structures.c that point to what is wanted.
const wantedPrefix = "amp_wanted_"

// walker makes BTF types of the entries of a compilation unit. It walks the raw entries, since dwarf.Data.Type forgets whether an enumeration
// has a sign, and guesses at arrays without a size.
//
// By value everything is followed; behind pointers only to what is there anyway. So the size stays small, and relocation needs no more: it
// asks nothing of what a pointer points to.
type walker struct {
	data    *dwarf.Data
	reader  *dwarf.Reader
	made    map[dwarf.Offset]*made
	pending []request
	late    []request  // to structures, behind pointers
	bits    []bitfield // whose place depends on the size of their type
	index   *btf.Int   // of arrays
	read    int        // entries
}

// made is a type that was made of an entry.
type made struct {
	typ   btf.Type
	inner *request // of a typedef or qualifier: what it stands for, if that was not followed
}

// request is a place where the type of an entry is to go.
type request struct {
	at     dwarf.Offset
	slot   *btf.Type
	behind bool // a pointer
}

// bitfield is a member by the old form, whose offset counts from the most significant bit of a storage of the type's size.
type bitfield struct {
	member  *btf.Member
	offset  int64 // DW_AT_bit_offset
	storage int64 // bytes, DW_AT_byte_size; 0: of the type
}

// fromDWARF gives the types that the variables of the unit point to. An object without any is errNoTypes.
func fromDWARF(data *dwarf.Data) (types []btf.Type, err error) {
	defer func() { // the library reads what was made by others
		if p := recover(); p != nil {
			types, err = nil, fmt.Errorf("debug information: %v", p)
		}
	}()
	w := &walker{data: data, reader: data.Reader(), made: map[dwarf.Offset]*made{}, index: &btf.Int{Name: "__ARRAY_SIZE_TYPE__", Size: 4}}
	wanted, err := w.wanted()
	if err != nil {
		return nil, err
	}
	if len(wanted) == 0 {
		return nil, errNoTypes
	}
	types = make([]btf.Type, len(wanted))
	for i, at := range wanted {
		w.pending = append(w.pending, request{at: at, slot: &types[i]})
	}
	if err := w.follow(); err != nil {
		return nil, err
	}
	if err := w.placeBitfields(); err != nil {
		return nil, err
	}
	return types, check(types)
}

var errNoTypes = errors.New("the debug information has none of the structures")

// wanted are the entries that the unit's variables point to, in order.
func (w *walker) wanted() ([]dwarf.Offset, error) {
	var found []dwarf.Offset
	for {
		e, err := w.next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			return found, nil
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		if e.Tag == dwarf.TagVariable && strings.HasPrefix(name, wantedPrefix) && len(found) < maxChildren {
			to, err := w.pointed(e)
			if err != nil {
				return nil, fmt.Errorf("variable %s at %#x: %w", name, e.Offset, err)
			}
			found = append(found, to)
			if e, err = w.entry(e.Offset); err != nil { // back to where it was
				return nil, err
			}
		}
		if e.Tag == dwarf.TagCompileUnit {
			continue
		}
		if err := w.skip(e); err != nil {
			return nil, err
		}
	}
}

// pointed is what a variable points to.
func (w *walker) pointed(variable *dwarf.Entry) (dwarf.Offset, error) {
	at, ok := reference(variable)
	if !ok {
		return 0, errors.New("it has no type")
	}
	p, err := w.entry(at)
	if err != nil {
		return 0, err
	}
	to, ok := reference(p)
	if p.Tag != dwarf.TagPointerType || !ok {
		return 0, fmt.Errorf("it is a %s, expected a pointer to something", p.Tag)
	}
	return to, nil
}

func reference(e *dwarf.Entry) (dwarf.Offset, bool) {
	at, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
	return at, ok
}

// next reads an entry, nil at the end.
func (w *walker) next() (*dwarf.Entry, error) {
	if w.read++; w.read > maxEntries {
		return nil, fmt.Errorf("more than %d entries", maxEntries)
	}
	return w.reader.Next()
}

// skip goes behind the children of an entry that was read last. The library's way follows sibling references, which may lead backwards.
func (w *walker) skip(e *dwarf.Entry) error {
	if !e.Children {
		return nil
	}
	for depth := 1; depth > 0; {
		c, err := w.next()
		switch {
		case err != nil:
			return err
		case c == nil:
			return nil
		case c.Tag == 0:
			depth--
		case c.Children:
			depth++
		}
	}
	return nil
}

func (w *walker) entry(at dwarf.Offset) (*dwarf.Entry, error) {
	w.reader.Seek(at)
	e, err := w.next()
	if err != nil {
		return nil, err
	}
	if e == nil || e.Tag == 0 {
		return nil, fmt.Errorf("no entry at %#x", at)
	}
	return e, nil
}

// children gives those of an entry that was read last.
func (w *walker) children(e *dwarf.Entry) ([]*dwarf.Entry, error) {
	if !e.Children {
		return nil, nil
	}
	var all []*dwarf.Entry
	for {
		c, err := w.next()
		if err != nil {
			return nil, err
		}
		if c == nil || c.Tag == 0 {
			return all, nil
		}
		if len(all) == maxChildren {
			return nil, fmt.Errorf("%s at %#x has more than %d children", e.Tag, e.Offset, maxChildren)
		}
		all = append(all, c)
		if err := w.skip(c); err != nil {
			return nil, err
		}
	}
}

// follow fills all places.
func (w *walker) follow() error {
	for len(w.pending) > 0 {
		q := w.pending[len(w.pending)-1]
		w.pending = w.pending[:len(w.pending)-1]
		if err := w.fill(q); err != nil {
			return err
		}
	}
	for _, q := range w.late {
		if err := w.fillLate(q); err != nil {
			return err
		}
	}
	return nil
}

// fill puts a type in its place, and asks for what it is made of.
func (w *walker) fill(q request) error {
	if m := w.made[q.at]; m != nil {
		*q.slot = m.typ
		if m.inner != nil && !q.behind { // so far only a pointer wanted it
			inner := *m.inner
			m.inner, inner.behind = nil, false
			w.pending = append(w.pending, inner)
		}
		return nil
	}
	e, err := w.entry(q.at)
	if err != nil {
		return err
	}
	if q.behind && (e.Tag == dwarf.TagStructType || e.Tag == dwarf.TagUnionType) {
		w.late = append(w.late, q)
		return nil
	}
	if len(w.made) == maxTypes {
		return fmt.Errorf("more than %d types", maxTypes)
	}
	m := &made{}
	w.made[q.at] = m // before its parts are asked for, which may lead back here
	if err := w.make(m, e, q.behind); err != nil {
		return fmt.Errorf("%s at %#x: %w", e.Tag, e.Offset, err)
	}
	*q.slot = m.typ
	return nil
}

// fillLate puts a structure behind a pointer: itself if it is there for another reason, else its name.
func (w *walker) fillLate(q request) error {
	if m := w.made[q.at]; m != nil {
		*q.slot = m.typ
		return nil
	}
	e, err := w.entry(q.at)
	if err != nil {
		return err
	}
	name, err := nameOf(e)
	if err != nil {
		return fmt.Errorf("%s at %#x: %w", e.Tag, e.Offset, err)
	}
	m := &made{typ: forward(e, name)}
	w.made[q.at] = m
	*q.slot = m.typ
	return nil
}

// opaque are structures that headers only name, whose being there is all that is asked.
var opaque = []string{"mnt_idmap"}

func forward(e *dwarf.Entry, name string) btf.Type {
	switch {
	case slices.Contains(opaque, name):
		return &btf.Struct{Name: name}
	case name == "":
		return (*btf.Void)(nil)
	case e.Tag == dwarf.TagUnionType:
		return &btf.Fwd{Name: name, Kind: btf.FwdUnion}
	}
	return &btf.Fwd{Name: name, Kind: btf.FwdStruct}
}

// make makes the type of an entry.
func (w *walker) make(m *made, e *dwarf.Entry, behind bool) error {
	name, err := nameOf(e)
	if err != nil {
		return err
	}
	switch e.Tag {
	case dwarf.TagBaseType:
		m.typ, err = base(e, name)
	case dwarf.TagPointerType:
		p := &btf.Pointer{}
		m.typ = p
		w.want(e, &p.Target, true)
	case dwarf.TagTypedef:
		t := &btf.Typedef{Name: name}
		m.typ, m.inner = t, w.want(e, &t.Type, behind)
	case dwarf.TagConstType, dwarf.TagAtomicType: // BTF has no word for the latter
		t := &btf.Const{}
		m.typ, m.inner = t, w.want(e, &t.Type, behind)
	case dwarf.TagVolatileType:
		t := &btf.Volatile{}
		m.typ, m.inner = t, w.want(e, &t.Type, behind)
	case dwarf.TagRestrictType:
		t := &btf.Restrict{}
		m.typ, m.inner = t, w.want(e, &t.Type, behind)
	case dwarf.TagStructType, dwarf.TagUnionType:
		m.typ, err = w.composite(e, name)
	case dwarf.TagArrayType:
		m.typ, err = w.array(e)
	case dwarf.TagEnumerationType:
		m.typ, err = w.enum(e, name)
	case dwarf.TagSubroutineType:
		m.typ, err = w.function(e)
	case dwarf.TagUnspecifiedType:
		m.typ = (*btf.Void)(nil)
	default:
		err = errors.New("not a type of C")
	}
	return err
}

// want asks for the type that an entry refers to, none being void. What is returned is what a later one, who wants it by value, has to ask for.
func (w *walker) want(e *dwarf.Entry, slot *btf.Type, behind bool) *request {
	at, ok := reference(e)
	if !ok {
		*slot = (*btf.Void)(nil)
		return nil
	}
	q := request{at: at, slot: slot, behind: behind}
	w.pending = append(w.pending, q)
	if !behind {
		return nil
	}
	return &q
}

func nameOf(e *dwarf.Entry) (string, error) {
	name, _ := e.Val(dwarf.AttrName).(string)
	if len(name) > maxName || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("a name of %d bytes, expected %d at most without a zero byte", len(name), maxName)
	}
	return name, nil
}

// sizeOf reads the bytes of a type.
func sizeOf(e *dwarf.Entry) (uint32, error) {
	size, ok := e.Val(dwarf.AttrByteSize).(int64)
	if !ok || size < 0 || size > maxSize {
		return 0, fmt.Errorf("byte size is %v, expected 0 to %d", e.Val(dwarf.AttrByteSize), maxSize)
	}
	return uint32(size), nil
}

// Encodings of base types, DWARF 5 section 7.8.
const (
	ateBoolean, ateComplexFloat, ateFloat = 0x02, 0x03, 0x04
	ateSigned, ateSignedChar              = 0x05, 0x06
	ateUnsigned, ateUnsignedChar, ateUTF  = 0x07, 0x08, 0x10
)

func base(e *dwarf.Entry, name string) (btf.Type, error) {
	size, err := sizeOf(e)
	if err != nil {
		return nil, err
	}
	if size == 0 || size > 32 {
		return nil, fmt.Errorf("byte size is %d, expected 1 to 32", size)
	}
	switch encoding, _ := e.Val(dwarf.AttrEncoding).(int64); encoding {
	case ateBoolean:
		return &btf.Int{Name: name, Size: size, Encoding: btf.Bool}, nil
	case ateSigned, ateSignedChar:
		return &btf.Int{Name: name, Size: size, Encoding: btf.Signed}, nil
	case ateUnsigned, ateUnsignedChar, ateUTF:
		return &btf.Int{Name: name, Size: size}, nil
	case ateFloat, ateComplexFloat:
		return &btf.Float{Name: name, Size: size}, nil
	default:
		return nil, fmt.Errorf("encoding is %#x, which is none of C", encoding)
	}
}

func (w *walker) composite(e *dwarf.Entry, name string) (btf.Type, error) {
	if declared, _ := e.Val(dwarf.AttrDeclaration).(bool); declared {
		return forward(e, name), nil
	}
	size, err := sizeOf(e)
	if err != nil {
		return nil, err
	}
	children, err := w.children(e)
	if err != nil {
		return nil, err
	}
	children = slices.DeleteFunc(children, func(c *dwarf.Entry) bool { return c.Tag != dwarf.TagMember })
	members := make([]btf.Member, len(children)) // of one piece: places in it are noted
	for i, c := range children {
		if err := w.member(&members[i], c, size); err != nil {
			return nil, fmt.Errorf("struct %s: %w", name, err)
		}
	}
	if e.Tag == dwarf.TagUnionType {
		return &btf.Union{Name: name, Size: size, Members: members}, nil
	}
	return &btf.Struct{Name: name, Size: size, Members: members}, nil
}

func (w *walker) member(m *btf.Member, c *dwarf.Entry, size uint32) error {
	var err error
	if m.Name, err = nameOf(c); err != nil {
		return err
	}
	at, err := location(c)
	if err != nil {
		return fmt.Errorf("member %q: %w", m.Name, err)
	}
	width, ok := c.Val(dwarf.AttrBitSize).(int64)
	if ok && (width <= 0 || width > 64) {
		return fmt.Errorf("member %q: %d bits, expected 1 to 64", m.Name, width)
	}
	m.BitfieldSize = btf.Bits(width)
	if at < 0 || at > int64(size)*8 {
		return fmt.Errorf("member %q is at bit %d of %d bytes", m.Name, at, size)
	}
	m.Offset = btf.Bits(at)
	if offset, ok := c.Val(dwarf.AttrBitOffset).(int64); ok {
		storage, _ := c.Val(dwarf.AttrByteSize).(int64)
		if storage < 0 || storage > 16 || offset < -math.MaxInt16 || offset > math.MaxInt16 {
			return fmt.Errorf("member %q is at bit %d in %d bytes", m.Name, offset, storage)
		}
		w.bits = append(w.bits, bitfield{m, offset, storage})
	}
	w.want(c, &m.Type, false)
	return nil
}

// location is where a member begins, in bits.
func location(c *dwarf.Entry) (int64, error) {
	if bit, ok := c.Val(dwarf.AttrDataBitOffset).(int64); ok {
		return bit, nil
	}
	switch at := c.Val(dwarf.AttrDataMemberLoc).(type) {
	case nil: // of a union
		return 0, nil
	case int64:
		if at < 0 || at > maxSize {
			return 0, fmt.Errorf("byte %d, expected 0 to %d", at, maxSize)
		}
		return at * 8, nil
	case []byte:
		return plusConstant(at)
	default:
		return 0, fmt.Errorf("location is %v, expected a number", at)
	}
}

// plusConstant reads the one expression by which DWARF 2 compilers give a member's place: DW_OP_plus_uconst and a number.
func plusConstant(b []byte) (int64, error) {
	const opPlusUconst = 0x23
	if len(b) < 2 || len(b) > 5 || b[0] != opPlusUconst {
		return 0, fmt.Errorf("location is the expression % x, expected DW_OP_plus_uconst and a number", b)
	}
	var n int64
	for i, c := range b[1:] {
		n |= int64(c&0x7f) << (7 * i)
		if c&0x80 == 0 {
			if i != len(b)-2 || n > maxSize {
				break
			}
			return n * 8, nil
		}
	}
	return 0, fmt.Errorf("location is the expression % x, expected a number up to %d", b, maxSize)
}

// placeBitfields counts the old form from the other end, as our machines have their bytes (little endian).
func (w *walker) placeBitfields() error {
	for _, b := range w.bits {
		storage := b.storage
		if storage == 0 {
			size, err := btf.Sizeof(b.member.Type)
			if err != nil {
				return fmt.Errorf("bit field %q: %w", b.member.Name, err)
			}
			storage = int64(size)
		}
		at := int64(b.member.Offset) + storage*8 - b.offset - int64(b.member.BitfieldSize)
		if at < 0 || at > maxSize*8 {
			return fmt.Errorf("bit field %q is at bit %d", b.member.Name, at)
		}
		b.member.Offset = btf.Bits(at)
	}
	return nil
}

// array makes one of each dimension, the last one innermost.
func (w *walker) array(e *dwarf.Entry) (btf.Type, error) {
	children, err := w.children(e)
	if err != nil {
		return nil, err
	}
	var counts []uint32
	for _, c := range children {
		if c.Tag != dwarf.TagSubrangeType && c.Tag != dwarf.TagEnumerationType {
			continue
		}
		n, err := elements(c)
		if err != nil {
			return nil, err
		}
		counts = append(counts, n)
	}
	if len(counts) == 0 || len(counts) > 8 {
		return nil, fmt.Errorf("%d dimensions, expected 1 to 8", len(counts))
	}
	outer := &btf.Array{Index: w.index, Nelems: counts[0]}
	inner := outer
	for _, n := range counts[1:] {
		next := &btf.Array{Index: w.index, Nelems: n}
		inner.Type, inner = next, next
	}
	w.want(e, &inner.Type, false)
	return outer, nil
}

// elements counts them; an array without an end has none.
func elements(c *dwarf.Entry) (uint32, error) {
	n, ok := c.Val(dwarf.AttrCount).(int64)
	if !ok {
		last, bounded := c.Val(dwarf.AttrUpperBound).(int64)
		if !bounded || last == math.MaxUint32 { // [0] of GCC before 8: -1 in the width of the index
			return 0, nil
		}
		n = last + 1
	}
	if n < 0 || n > maxElements {
		return 0, fmt.Errorf("%d elements, expected 0 to %d", n, maxElements)
	}
	return uint32(n), nil
}

func (w *walker) enum(e *dwarf.Entry, name string) (btf.Type, error) {
	if declared, _ := e.Val(dwarf.AttrDeclaration).(bool); declared {
		return &btf.Enum{Name: name, Size: 4}, nil
	}
	size, err := sizeOf(e)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]uint32{1, 2, 4, 8}, size) {
		return nil, fmt.Errorf("byte size is %d, expected 1, 2, 4 or 8", size)
	}
	children, err := w.children(e)
	if err != nil {
		return nil, err
	}
	t := &btf.Enum{Name: name, Size: size}
	for _, c := range children {
		if c.Tag != dwarf.TagEnumerator {
			continue
		}
		word, err := nameOf(c)
		if err != nil {
			return nil, err
		}
		value, ok := c.Val(dwarf.AttrConstValue).(int64)
		if !ok {
			return nil, fmt.Errorf("enumerator %q has the value %v, expected a number", word, c.Val(dwarf.AttrConstValue))
		}
		t.Signed = t.Signed || value < 0
		t.Values = append(t.Values, btf.EnumValue{Name: word, Value: uint64(value)})
	}
	return t, w.signOf(e, t)
}

// signOf takes the sign of an enumeration from the type that is below it, where the compiler tells that.
func (w *walker) signOf(e *dwarf.Entry, t *btf.Enum) error {
	at, ok := reference(e)
	if !ok {
		return nil
	}
	below, err := w.entry(at)
	if err != nil {
		return err
	}
	if encoding, ok := below.Val(dwarf.AttrEncoding).(int64); ok {
		t.Signed = encoding == ateSigned || encoding == ateSignedChar
	}
	return nil
}

func (w *walker) function(e *dwarf.Entry) (btf.Type, error) {
	children, err := w.children(e)
	if err != nil {
		return nil, err
	}
	f := &btf.FuncProto{Params: make([]btf.FuncParam, 0, len(children))}
	w.want(e, &f.Return, true)
	for _, c := range children {
		switch c.Tag {
		case dwarf.TagFormalParameter:
			f.Params = append(f.Params, btf.FuncParam{})
			w.want(c, &f.Params[len(f.Params)-1].Type, true)
		case dwarf.TagUnspecifiedParameters:
			f.Params = append(f.Params, btf.FuncParam{Type: (*btf.Void)(nil)})
		}
	}
	return f, nil
}

// check refuses what a compiler does not make, and what would lead the library astray: a type that is in itself by value.
func check(types []btf.Type) error {
	c := checker{state: map[btf.Type]int8{}, left: slices.Clone(types)}
	for len(c.left) > 0 {
		t := c.left[len(c.left)-1]
		c.left = c.left[:len(c.left)-1]
		if err := c.visit(t, 0); err != nil {
			return err
		}
	}
	return nil
}

// maxNesting is how deep types may be in one another by value.
const maxNesting = 64

type checker struct {
	state map[btf.Type]int8 // 1: on the way to it, 2: done
	left  []btf.Type        // behind pointers, which may lead in circles
}

func (c *checker) visit(t btf.Type, depth int) error {
	switch {
	case t == nil:
		return errors.New("a type was not found")
	case depth > maxNesting:
		return fmt.Errorf("types are in one another more than %d deep", maxNesting)
	}
	if _, void := t.(*btf.Void); void {
		return nil
	}
	switch c.state[t] {
	case 1:
		return fmt.Errorf("%s %q is in itself", strings.TrimPrefix(fmt.Sprintf("%T", t), "*btf."), t.TypeName())
	case 2:
		return nil
	}
	c.state[t] = 1
	defer func() { c.state[t] = 2 }()
	switch t := t.(type) {
	case *btf.Struct:
		return c.members(t.Members, t.Size, depth)
	case *btf.Union:
		return c.members(t.Members, t.Size, depth)
	case *btf.Array:
		return c.visit(t.Type, depth+1)
	case *btf.Typedef:
		return c.visit(t.Type, depth+1)
	case *btf.Const:
		return c.visit(t.Type, depth+1)
	case *btf.Volatile:
		return c.visit(t.Type, depth+1)
	case *btf.Restrict:
		return c.visit(t.Type, depth+1)
	case *btf.Pointer:
		c.left = append(c.left, t.Target)
	case *btf.FuncProto:
		c.left = append(c.left, t.Return)
		for _, p := range t.Params {
			c.left = append(c.left, p.Type)
		}
	}
	return nil
}

func (c *checker) members(members []btf.Member, size uint32, depth int) error {
	for _, m := range members {
		if err := c.visit(m.Type, depth+1); err != nil {
			return err
		}
		if m.BitfieldSize > 0 && int64(m.Offset)+int64(m.BitfieldSize) > int64(size)*8 {
			return fmt.Errorf("bit field %q ends behind the %d bytes of its structure", m.Name, size)
		}
	}
	return nil
}
