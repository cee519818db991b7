// Package degraded is the event source for hosts on which no eBPF program and no module may load. It asks of the kernel what it tells
// anybody with the rights: fanotify(7) for files, the process connector for processes, sock_diag(7) for flows. Each of the three works
// without the others; what is missing is a blind spot. It judges no fault.
package degraded

import "encoding/binary"

// Records of the kernel are in the machine's byte order, but for the ports and addresses of flows.
func u16(b []byte, at int) uint16 { return binary.NativeEndian.Uint16(b[at:]) }
func u32(b []byte, at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
func u64(b []byte, at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }
