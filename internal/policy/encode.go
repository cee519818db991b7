package policy

import (
	"bytes"
	"encoding/xml"
)

// Encode is the file that ParseExclusions reads the set from.
func (x *Exclusions) Encode() []byte {
	var b bytes.Buffer
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- Exclusions of this host. Change them with: ampcli exclusions -->\n<exclusions version=\"" + Version + "\">\n")
	for _, e := range x.All() {
		b.WriteString("\t<" + string(e.Class) + " " + exclusionAttribute[e.Class] + "=\"")
		_ = xml.EscapeText(&b, []byte(e.Value)) // writing to a buffer does not fail
		b.WriteByte('"')
		if e.Children {
			b.WriteString(` children="true"`)
		}
		b.WriteString("/>\n")
	}
	b.WriteString("</exclusions>\n")
	return b.Bytes()
}
