package policy

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
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
	if len(b) > MaxBytes {
		return Policy{}, fmt.Errorf("%s: larger than %d bytes", name, MaxBytes)
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) // a byte order mark, as some editors write
	p := parser{name: name, xml: xml.NewDecoder(bytes.NewReader(b)), line: 1}
	return p.document()
}

func (p *parser) document() (Policy, error) {
	root, err := p.element()
	if err == io.EOF {
		return Policy{}, p.errorf("expected the element <policy>, found the end of the file")
	}
	if err != nil {
		return Policy{}, err
	}
	if root == nil || root.Name.Local != "policy" || root.Name.Space != "" {
		return Policy{}, p.errorf("expected the element <policy>, found %s", describe(root))
	}
	policy, err := p.policy(root)
	if err != nil {
		return Policy{}, err
	}
	if more, err := p.element(); err == nil {
		return Policy{}, p.errorf("expected the end of the file after </policy>, found %s", describe(more))
	} else if err != io.EOF {
		return Policy{}, err
	}
	return policy, nil
}

// policy reads the attributes and the content of <policy>.
func (p *parser) policy(start *xml.StartElement) (Policy, error) {
	attributes, err := p.attributes(start, "version")
	if err != nil {
		return Policy{}, err
	}
	if v := attributes["version"]; v != Version {
		return Policy{}, p.errorf("<policy version=%q>: expected version=%q", v, Version)
	}
	result, seen := Default(), 0
	for {
		e, err := p.element()
		switch {
		case err == io.EOF:
			return Policy{}, p.errorf("expected </policy>, found the end of the file")
		case err != nil:
			return Policy{}, err
		case e == nil:
			return result, nil
		case e.Name.Local != "monitor" || e.Name.Space != "":
			return Policy{}, p.errorf("expected <monitor> or </policy>, found %s", describe(e))
		case seen > 0:
			return Policy{}, p.errorf("<monitor> a second time; the first is on line %d", seen)
		}
		seen = p.line
		if err := p.monitor(e, &result); err != nil {
			return Policy{}, err
		}
	}
}

// monitor reads <monitor files="…" network="…"/>. A switch that is not named keeps its default.
func (p *parser) monitor(start *xml.StartElement, into *Policy) error {
	attributes, err := p.attributes(start, "files", "network")
	if err != nil {
		return err
	}
	for name, to := range map[string]*bool{"files": &into.MonitorFiles, "network": &into.MonitorNetwork} {
		if v, ok := attributes[name]; ok {
			if *to, ok = booleans[v]; !ok {
				return p.errorf("<monitor %s=%q>: expected true or false", name, v)
			}
		}
	}
	e, err := p.element()
	if err == io.EOF {
		return p.errorf("expected </monitor>, found the end of the file")
	}
	if err != nil {
		return err
	}
	if e != nil {
		return p.errorf("expected </monitor>, found %s", describe(e))
	}
	return nil
}

// booleans are the literals of xs:boolean.
var booleans = map[string]bool{"true": true, "1": true, "false": false, "0": false}

// attributes gives the attributes of an element by name, each at most once and each allowed.
func (p *parser) attributes(e *xml.StartElement, allowed ...string) (map[string]string, error) {
	found := make(map[string]string, len(e.Attr))
	for _, a := range e.Attr {
		name := a.Name.Local
		if a.Name.Space != "" || !slices.Contains(allowed, name) {
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
		if err == io.EOF {
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
	if s, ok := err.(*xml.SyntaxError); ok {
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
