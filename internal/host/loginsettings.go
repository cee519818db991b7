package host

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
)

// Drop-ins of login.defs(5), which only account tools that use libeconf read: files "*.defs" in these folders.
const (
	LoginDefsDropIns       = "/etc/login.defs.d"
	vendorLoginDefsDropIns = "/usr/etc/login.defs.d"
	dropInSuffix           = ".defs"
	maxDropIns             = 256
)

// LoginSettings is what login.defs(5) says on a host, all files together that its account tools read.
type LoginSettings struct {
	Econf bool     // they read with libeconf
	Files []string // in the order in which they are read

	values map[string]LoginSetting
}

// LoginSetting is one setting and where it stands.
type LoginSetting struct {
	Key, Value string
	File       string
	Line       int // from 1
}

// Get returns the setting that counts for key. A nil s has none.
func (s *LoginSettings) Get(key string) (LoginSetting, bool) {
	if s == nil {
		return LoginSetting{}, false
	}
	v, ok := s.values[key]
	return v, ok
}

// Bool reads a switch: only "yes", in any case, is yes, as in getdef_bool. An absent one is no.
func (s *LoginSettings) Bool(key string) bool {
	v, _ := s.Get(key)
	return strings.EqualFold(v.Value, "yes")
}

// Number reads a number, decimal, octal (0…) or hexadecimal (0x…); ok is false if the key is absent or no number, in which
// cases shadow takes its built-in default.
func (s *LoginSettings) Number(key string) (n int64, ok bool) {
	v, ok := s.Get(key)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(v.Value, 0, 64)
	return n, err == nil
}

// LoginSettingsOf reads login.defs(5) below a root, as the account tools that are there read it. Where there is no file at all, Err is
// fs.ErrNotExist, and the tools have their built-in defaults.
func LoginSettingsOf(r Root) Reading[*LoginSettings] {
	if ReadsWithEconf(r) {
		return econfSettings(r)
	}
	b, err := r.ReadFile(LoginDefsPath, maxLoginDefs)
	if err != nil {
		return NotKnown[*LoginSettings](LoginDefsPath, err)
	}
	d, err := ParseLoginDefs(LoginDefsPath, b)
	if err != nil {
		return NotKnown[*LoginSettings](LoginDefsPath, err)
	}
	return Read(&LoginSettings{Files: []string{LoginDefsPath}, values: d.values()}, LoginDefsPath)
}

func (d *LoginDefs) values() map[string]LoginSetting {
	values := map[string]LoginSetting{}
	for _, e := range d.entries {
		values[e.key] = LoginSetting{Key: e.key, Value: string(d.text[e.start:e.end]), File: d.name, Line: e.line}
	}
	return values
}

// econfSettings reads what econf_readDirs(3) of libeconf reads: /etc/login.defs, or where there is none the vendor's; then the vendor's
// drop-ins and the host's by name, of which one of the host's takes the place of a vendor's of the same name. So since libeconf 0.5;
// before, the vendor's drop-ins were left out where /etc/login.defs was there. The tools give up at a file that they cannot read.
func econfSettings(r Root) Reading[*LoginSettings] {
	names, err := econfFiles(r)
	if err != nil {
		return NotKnown[*LoginSettings](LoginDefsDropIns, err)
	}
	if len(names) == 0 {
		return NotKnown[*LoginSettings](LoginDefsPath, &fs.PathError{Op: "open", Path: LoginDefsPath, Err: fs.ErrNotExist})
	}
	s := &LoginSettings{Econf: true, Files: names}
	var files [][]LoginSetting
	for _, name := range names {
		settings, err := readEconf(r, name)
		if err != nil {
			return NotKnown[*LoginSettings](name, err)
		}
		files = append(files, settings)
	}
	s.values = mergeEconf(files)
	from := strings.Join(names, ", ")
	if len(s.values) == 0 { // econf_getKeys: "Key not found"
		return NotKnown[*LoginSettings](from, fmt.Errorf("%s: %w: no setting, and at that the account tools give up", from, ErrMalformed))
	}
	return Read(s, from)
}

// readEconf parses one file. A link to /dev/null, the way to take a vendor's drop-in away, is an empty one.
func readEconf(r Root, name string) ([]LoginSetting, error) {
	if to, err := r.Readlink(name); err == nil && to == "/dev/null" {
		return nil, nil
	}
	if fi, err := r.Stat(name); err == nil && fi.IsDir() { // fopen(3) opens it, and nothing can be read
		return nil, nil
	}
	b, err := r.ReadFile(name, maxLoginDefs)
	if securejoin.IsNotExist(err) {
		return nil, fmt.Errorf("open %s: %w: a link that leads nowhere, and at that the account tools give up", name, ErrMalformed)
	}
	if err != nil {
		return nil, err
	}
	return parseEconf(name, b)
}

// econfFiles lists the files that are there, in the order in which they are merged.
func econfFiles(r Root) ([]string, error) {
	var names []string
	for _, base := range []string{LoginDefsPath, VendorLoginDefsPath} {
		there, err := r.exists(base)
		if err != nil {
			return nil, err
		}
		if there {
			names = append(names, base)
			break
		}
	}
	own, err := dropInsIn(r, LoginDefsDropIns)
	if err != nil {
		return nil, err
	}
	vendor, err := dropInsIn(r, vendorLoginDefsDropIns)
	for _, base := range vendor {
		if !slices.Contains(own, base) {
			names = append(names, path.Join(vendorLoginDefsDropIns, base))
		}
	}
	for _, base := range own {
		names = append(names, path.Join(LoginDefsDropIns, base))
	}
	return names, err
}

// dropInsIn lists the drop-ins of a folder by name, in the order of bytes: alphasort(3) in the C locale, in which we run the tools.
func dropInsIn(r Root, dir string) ([]string, error) {
	entries, err := r.ReadDir(dir)
	if securejoin.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, dropInSuffix) && name != dropInSuffix {
			names = append(names, name)
		}
	}
	if len(names) > maxDropIns {
		return nil, fmt.Errorf("%s: %w: %d drop-ins, at most %d expected", dir, ErrTooLarge, len(names), maxDropIns)
	}
	return names, nil
}
