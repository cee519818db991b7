package bpf

import "github.com/ampconnector/amp/internal/monitor"

// The layout of struct amp_system_record, headers/system_record.h.
const (
	systemSize = 120

	offSystemSubtype  = 96
	offSystemOtherPID = 100
	offSystemOldUID   = 104
	offSystemOldEUID  = 108
	offSystemNameSize = 112
)

// system reads the record of a module, an eBPF program, a process that is taken hold of, or a change of user.
func (d *decoder) system(b []byte) error {
	var name [1][]byte
	if err := tail(b, systemSize, name[:], offSystemNameSize); err != nil {
		return err
	}
	e := &d.event
	switch e.Kind {
	case monitor.ModuleLoad:
		e.Name = view(name[0])
	case monitor.BPFLoad:
		e.Name, e.Subtype = view(name[0]), u32(b, offSystemSubtype)
	case monitor.Trace:
		e.Subtype, e.OtherPID = u32(b, offSystemSubtype), u32(b, offSystemOtherPID)
	case monitor.Credentials:
		e.OldUID, e.OldEUID = u32(b, offSystemOldUID), u32(b, offSystemOldEUID)
	}
	return nil
}
