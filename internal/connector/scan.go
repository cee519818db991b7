package connector

import "github.com/ampconnector/amp/internal/control"

// scanStatus is the state of the scan service.
func (c *core) scanStatus() control.Scan {
	return control.Scan{State: control.ScanOff, Detail: "off"}
}
