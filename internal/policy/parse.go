package policy

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Version is the version of the format that Parse takes, docs/policy.xsd.
const Version = "1"

// parser walks the tokens of one policy file and knows where it is.
type parser struct {
	name string
	xml  *xml.Decoder
	line int // of the token that is looked at, from 1
}

// Parse reads a policy from the bytes of a file; name is used in errors, as "name:line: …". What the format does not have (an
// element, an attribute, text, an entity, a document type) is refused: a switch that was misspelt is not left at its default in silence.
func Parse(name string, b []byte) (Policy, error) {
	var policy Policy
	err := parse(name, b, "policy", func(p *parser, root *xml.StartElement) (err error) {
		policy, err = p.policy(root)
		return err
	})
	if err != nil {
		return Policy{}, err
	}
	return policy, nil
}

// ParseExclusions reads the exclusions of a host, a file whose root is <exclusions>; otherwise as Parse.
func ParseExclusions(name string, b []byte) (Exclusions, error) {
	var x Exclusions
	err := parse(name, b, "exclusions", func(p *parser, root *xml.StartElement) (err error) {
		x, err = p.exclusions(root)
		return err
	})
	if err != nil {
		return Exclusions{}, err
	}
	return x, nil
}

// parse reads a document that has one element of the name root and this version.
func parse(name string, b []byte, root string, read func(*parser, *xml.StartElement) error) error {
	if len(b) > MaxBytes {
		return fmt.Errorf("%s: larger than %d bytes", name, MaxBytes)
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) // a byte order mark, as some editors write
	p := &parser{name: name, xml: xml.NewDecoder(bytes.NewReader(b)), line: 1}
	e, err := p.element()
	if errors.Is(err, io.EOF) {
		return p.errorf("expected the element <%s>, found the end of the file", root)
	}
	if err != nil {
		return err
	}
	if e == nil || e.Name.Local != root || e.Name.Space != "" {
		return p.errorf("expected the element <%s>, found %s", root, describe(e))
	}
	if err := p.version(e); err != nil {
		return err
	}
	if err := read(p, e); err != nil {
		return err
	}
	if more, err := p.element(); err == nil {
		return p.errorf("expected the end of the file after </%s>, found %s", root, describe(more))
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (p *parser) version(root *xml.StartElement) error {
	attributes, err := p.attributes(root, "version")
	if err != nil {
		return err
	}
	if v := attributes["version"]; v != Version {
		return p.errorf("<%s version=%q>: expected version=%q", root.Name.Local, v, Version)
	}
	return nil
}

// policy reads the content of <policy>: each of its elements at most once, in any order.
func (p *parser) policy(start *xml.StartElement) (Policy, error) {
	result, seen := Default(), map[string]int{}
	err := p.content(start, []string{"monitor", "kernel", "exclusions", "limits", "scan"}, func(e *xml.StartElement) (err error) {
		name := e.Name.Local
		if seen[name] > 0 {
			return p.errorf("<%s> a second time; the first is on line %d", name, seen[name])
		}
		seen[name] = p.line
		switch name {
		case "monitor":
			return p.monitor(e, &result)
		case "kernel":
			return p.kernel(e, &result)
		case "limits":
			return p.limits(e, &result.Limits)
		case "scan":
			return p.scan(e, &result)
		}
		if _, err = p.attributes(e); err == nil {
			result.Exclusions, err = p.exclusions(e)
		}
		return err
	})
	return result, err
}

// content calls read for each element inside start, all of which must be of one of the names. read takes the element up to its end.
func (p *parser) content(start *xml.StartElement, names []string, read func(*xml.StartElement) error) error {
	end := "</" + start.Name.Local + ">"
	for {
		e, err := p.element()
		switch {
		case errors.Is(err, io.EOF):
			return p.errorf("expected %s, found the end of the file", end)
		case err != nil:
			return err
		case e == nil:
			return nil
		case e.Name.Space != "" || !slices.Contains(names, e.Name.Local):
			expected := end
			if len(names) > 0 {
				expected = "<" + strings.Join(names, ">, <") + "> or " + end
			}
			return p.errorf("expected %s, found %s", expected, describe(e))
		}
		if err := read(e); err != nil {
			return err
		}
	}
}

// empty reads the end of an element that has no content.
func (p *parser) empty(start *xml.StartElement) error { return p.content(start, nil, nil) }

// monitor reads <monitor files="…" network="…" source="…"/>. What is not named keeps its default.
func (p *parser) monitor(start *xml.StartElement, into *Policy) error {
	attributes, err := p.attributes(start, "files", "network", "source")
	if err != nil {
		return err
	}
	for name, to := range map[string]*bool{"files": &into.MonitorFiles, "network": &into.MonitorNetwork} {
		if err := p.boolean(start, attributes, name, to); err != nil {
			return err
		}
	}
	if v, ok := attributes["source"]; ok {
		if into.Source = Source(v); !slices.Contains(sources, into.Source) {
			return p.errorf("<monitor source=%q>: expected auto or modules", v)
		}
	}
	return p.empty(start)
}

// kernel reads <kernel btf="…" key="…" certificate="…"/>.
func (p *parser) kernel(start *xml.StartElement, into *Policy) error {
	attributes, err := p.attributes(start, "btf", "key", "certificate")
	if err != nil {
		return err
	}
	for name, to := range map[string]*string{"btf": &into.BTFFolder, "key": &into.ModuleKey.Key, "certificate": &into.ModuleKey.Certificate} {
		v, ok := attributes[name]
		if ok && !wholePath(v) {
			return p.errorf("<kernel %s=%.80q>: expected %s", name, v, aWholePath)
		}
		*to = v
	}
	if k := into.ModuleKey; (k.Key == "") != (k.Certificate == "") {
		return p.errorf("<kernel>: has one of key and certificate, expected both or neither")
	}
	return p.empty(start)
}

// limits reads <limits event-log="64"/>.
func (p *parser) limits(start *xml.StartElement, into *Limits) error {
	attributes, err := p.attributes(start, "event-log")
	if err != nil {
		return err
	}
	if err := p.number(start, attributes, "event-log", "MiB", MinEventLogMiB, MaxEventLogMiB, &into.EventLogMiB); err != nil {
		return err
	}
	return p.empty(start)
}

// scan reads <scan enabled="…" memory="…" file-size="…" workers="…" unsigned="…" quarantine="…"> with its schedules. What is not named keeps its default.
func (p *parser) scan(start *xml.StartElement, policy *Policy) error {
	into := &policy.Scan
	attributes, err := p.attributes(start, "enabled", "memory", "file-size", "workers", "unsigned", "quarantine")
	if err != nil {
		return err
	}
	for name, to := range map[string]*bool{"enabled": &into.Enabled, "unsigned": &into.Unsigned} {
		if err := p.boolean(start, attributes, name, to); err != nil {
			return err
		}
	}
	for _, n := range []struct {
		name, of string
		min, max int
		to       *int
	}{
		{"memory", "MiB", MinScanMemoryMiB, MaxScanMemoryMiB, &into.MemoryMiB},
		{"file-size", "MiB", MinScanFileMiB, MaxScanFileMiB, &into.FileMiB},
		{"workers", "scans", MinScanWorkers, MaxScanWorkers, &into.Workers},
	} {
		if err := p.number(start, attributes, n.name, n.of, n.min, n.max, n.to); err != nil {
			return err
		}
	}
	if v, ok := attributes["quarantine"]; ok {
		if into.Quarantine = Quarantine(v); !slices.Contains(quarantines, into.Quarantine) {
			return p.errorf("<scan quarantine=%q>: expected off, unowned or all", v)
		}
	}
	return p.content(start, []string{"schedule"}, func(e *xml.StartElement) error { return p.schedule(e, &policy.Schedules) })
}

// number reads an attribute, if it is there.
func (p *parser) number(e *xml.StartElement, attributes map[string]string, name, of string, min, max int, to *int) error {
	v, ok := attributes[name]
	if !ok {
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < min || n > max {
		return p.errorf("<%s %s=%q>: expected a number of %s from %d to %d", e.Name.Local, name, v, of, min, max)
	}
	*to = n
	return nil
}

// boolean reads an attribute, if it is there.
func (p *parser) boolean(e *xml.StartElement, attributes map[string]string, name string, to *bool) error {
	v, ok := attributes[name]
	if !ok {
		return nil
	}
	if *to, ok = booleans[v]; !ok {
		return p.errorf("<%s %s=%q>: expected true or false", e.Name.Local, name, v)
	}
	return nil
}

// exclusionAttribute is the attribute with the value of an exclusion, by element.
var exclusionAttribute = map[Class]string{ByPath: "prefix", ByProcess: "path", ByUser: "uid", ByKind: "name"}

// exclusions reads the content of <exclusions>.
func (p *parser) exclusions(start *xml.StartElement) (x Exclusions, err error) {
	err = p.content(start, classNames(), func(e *xml.StartElement) error {
		class := Class(e.Name.Local)
		allowed := []string{exclusionAttribute[class]}
		if class == ByProcess {
			allowed = append(allowed, "children")
		}
		attributes, err := p.attributes(e, allowed...)
		if err != nil {
			return err
		}
		value, ok := attributes[allowed[0]]
		if !ok {
			return p.errorf("<%s> without its attribute %s", class, allowed[0])
		}
		children, ok := booleans[attributes["children"]]
		if attributes["children"] != "" && !ok {
			return p.errorf("<%s children=%q>: expected true or false", class, attributes["children"])
		}
		if x, err = x.Add(Exclusion{class, value, children}); err != nil {
			return p.errorf("<%s>: %w", class, err)
		}
		return p.empty(e)
	})
	return x, err
}

// booleans are the literals of xs:boolean.
var booleans = map[string]bool{"true": true, "1": true, "false": false, "0": false}

// attributes gives the attributes of an element by name, each at most once and each allowed.
func (p *parser) attributes(e *xml.StartElement, allowed ...string) (map[string]string, error) {
	found := make(map[string]string, len(e.Attr))
	for _, a := range e.Attr {
		name := a.Name.Local
		if a.Name.Space != "" || !slices.Contains(allowed, name) {
			if len(allowed) == 0 {
				return nil, p.errorf("<%s> has no attributes, found %q", e.Name.Local, name)
			}
			return nil, p.errorf("<%s> has no attribute %q; expected %s", e.Name.Local, name, strings.Join(allowed, ", "))
		}
		if _, twice := found[name]; twice {
			return nil, p.errorf("<%s> has the attribute %q twice", e.Name.Local, name)
		}
		found[name] = a.Value
	}
	return found, nil
}

// element is the next start of an element, or nil for the end of the one that is open. io.EOF is the end of the file.
// Comments and white space are passed over, anything else is an error.
func (p *parser) element() (*xml.StartElement, error) {
	for {
		p.line, _ = p.xml.InputPos()
		token, err := p.xml.Token()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, p.syntax(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		case xml.CharData:
			if err := p.blank(t); err != nil {
				return nil, err
			}
		case xml.Directive:
			return nil, p.errorf("a policy has no document type or other declaration, found <!%.40s", t)
		case xml.ProcInst:
			if t.Target != "xml" {
				return nil, p.errorf("a policy has no processing instructions, found <?%s", t.Target)
			}
		}
	}
}

// blank refuses text.
func (p *parser) blank(text []byte) error {
	before := len(text) - len(bytes.TrimLeft(text, " \t\r\n"))
	if before == len(text) {
		return nil
	}
	p.line += bytes.Count(text[:before], []byte("\n"))
	return p.errorf("expected an element, found the text %.40q", bytes.TrimSpace(text))
}

// syntax says where the file stops being XML.
func (p *parser) syntax(err error) error {
	var s *xml.SyntaxError
	if errors.As(err, &s) {
		p.line = s.Line
		return p.errorf("not XML: %s", s.Msg)
	}
	return p.errorf("not XML: %w", err)
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", p.name, p.line, fmt.Errorf(format, args...))
}

func describe(e *xml.StartElement) string {
	if e == nil {
		return "the end of an element"
	}
	return fmt.Sprintf("<%.60s>", e.Name.Local)
}
