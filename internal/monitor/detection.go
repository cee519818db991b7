package monitor

import "fmt"

// detection is a finding whose evidence is the file, with the process that did something with it.
func (c *encoder) detection(b []byte, e *Event) []byte {
	f := &e.Found
	b = appendString(append(b, `,"finding_info":{"title":`...), e.Name)
	b = appendInt(b, `,"created_time":`, e.Time.UnixMilli())
	b = append(b, `,"uid":"`...)
	b = append(appendFileUID(b, &e.File, e.Time.UnixNano()), '"', '}')
	b = appendString(append(b, `,"malware":[{"name":`...), e.Name)
	b = append(appendInt(b, `,"classification_ids":[`, ocsfUnknown), `]}]`...)
	action, disposition := int64(ocsfAllowed), int64(ocsfDetected)
	switch {
	case f.Quarantined != "":
		action, disposition = ocsfDenied, ocsfQuarantined
	case f.LeftAlone != "":
		disposition = ocsfNoAction
	}
	b = appendInt(b, `,"action_id":`, action)
	b = appendInt(b, `,"disposition_id":`, disposition)
	b = append(b, `,"evidences":[{"actor":{"process":`...)
	b = c.cache.append(b, e.Process)
	b = append(b, `},"file":`...)
	b = appendFile(b, &e.File, e.Mode)
	if f.SHA256 != "" {
		b = appendInt(b[:len(b)-1], `,"hashes":[{"algorithm_id":`, ocsfSHA256)
		b = append(appendString(append(b, `,"value":`...), f.SHA256), `}]}`...)
	}
	b = append(b, `}]`...)
	u := object{b: b, open: `,"unmapped":{`}
	u.file(fileMembers, &e.File)
	for _, m := range []struct{ name, value string }{
		{`"cause":`, f.cause()}, {`"engine":`, f.Engine}, {`"definitions":`, f.Definitions}, {`"quarantined":`, f.Quarantined}, {`"left_alone":`, f.LeftAlone},
	} {
		if m.value != "" {
			u.text(m.name, m.value)
		}
	}
	if f.OtherNames > 0 {
		u.unsigned(`"other_names":`, f.OtherNames)
	}
	return u.end()
}

// cause is the name of the kind of event, "" where somebody asked for the scan.
func (f *Found) cause() string {
	if f.Cause == 0 {
		return ""
	}
	return f.Cause.String()
}

// appendFileUID names one finding: the file by the numbers of stat(2), and the time.
func appendFileUID(b []byte, f *File, at int64) []byte {
	return fmt.Appendf(b, "%d-%d-%d", f.Device, f.Inode, at)
}

// What ParseLine reads of a detection.
type (
	lineMalware struct {
		Name string `json:"name"`
	}
	lineEvidence struct {
		Actor struct {
			Process lineProcess `json:"process"`
		} `json:"actor"`
		File struct {
			lineFile
			Hashes []struct {
				Algorithm int    `json:"algorithm_id"`
				Value     string `json:"value"`
			} `json:"hashes"`
		} `json:"file"`
	}
)

func (l *line) detection(p *parser, e *Event) {
	u := &l.Unmapped
	if len(l.Malware) != 1 || len(l.Evidences) != 1 {
		p.fail("malware and evidences", fmt.Errorf("%d and %d elements, expected one each", len(l.Malware), len(l.Evidences)))
		return
	}
	e.Name = l.Malware[0].Name
	file := &l.Evidences[0].File
	e.File = p.file("evidences[0].file", &file.lineFile)
	p.path("unmapped", &u.linePath, &e.File)
	e.Found = Found{Engine: u.Engine, Definitions: u.Definitions, Quarantined: u.Quarantined, LeftAlone: u.LeftAlone, OtherNames: u.OtherNames}
	for _, h := range file.Hashes {
		if h.Algorithm == ocsfSHA256 {
			e.Found.SHA256 = h.Value
		}
	}
	if u.Cause != "" {
		var err error
		e.Found.Cause, err = ParseKind(u.Cause)
		p.fail("unmapped.cause", err)
	}
}
