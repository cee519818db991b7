package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The files of testdata/grub were written by grub-mkconfig 2.06-13+deb12u2 on Debian 12 for two empty kernels, with GRUB_DEFAULT=saved, with
// GRUB_DEFAULT=0, and with GRUB_DEFAULT=saved and GRUB_DISABLE_SUBMENU=y.
func TestGrubConfig(t *testing.T) {
	const submenu, id = "gnulinux-advanced-/dev/vda>", "gnulinux-6.1.0-%s-amd64-advanced-/dev/vda"
	nested := map[string]string{
		"6.1.0-49-amd64": submenu + strings.Replace(id, "%s", "49", 1),
		"6.1.0-48-amd64": submenu + strings.Replace(id, "%s", "48", 1),
	}
	flat := map[string]string{"6.1.0-49-amd64": strings.Replace(id, "%s", "49", 1), "6.1.0-48-amd64": strings.Replace(id, "%s", "48", 1)}
	for name, want := range map[string]BootLoader{
		"saved": {Kind: GRUB, Saved: true, Entries: nested},
		"first": {Kind: GRUB, Entries: nested},
		"flat":  {Kind: GRUB, Saved: true, Entries: flat},
	} {
		b, err := os.ReadFile(filepath.Join("testdata/grub", name+".cfg"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, ParseGrubConfig(b)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func FuzzGrubConfig(f *testing.F) {
	for _, name := range []string{"saved", "flat"} {
		b, err := os.ReadFile(filepath.Join("testdata/grub", name+".cfg"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for release, entry := range ParseGrubConfig(b).Entries {
			if CheckRelease(release) != nil || entry == "" || strings.ContainsAny(entry, "' \n") {
				t.Errorf("%q: %q", release, entry)
			}
		}
	})
}

// efi is an EFI variable with a text, as efivarfs shows it.
func efi(text string) string {
	b := []byte{6, 0, 0, 0}
	for _, c := range text + "\x00" {
		b = append(b, byte(c), 0)
	}
	return string(b)
}

func TestBootLoader(t *testing.T) {
	const config = `submenu 'x' $menuentry_id_option 'gnulinux-advanced-U' {
	menuentry 'y' --class os $menuentry_id_option 'gnulinux-5.14.21-150500.55.52-default-advanced-U' {
	}
}
`
	for _, tt := range []struct {
		name    string
		host    tree
		want    BootLoader
		release string
		entry   string
	}{
		{
			"Enterprise Linux", tree{"usr/sbin/grubby": "x", "boot/grub2/grub.cfg": config, "usr/sbin/grub2-set-default": "x"},
			BootLoader{Kind: Grubby, Tool: "/usr/sbin/grubby"}, "5.14.0-427.el9.x86_64", "/boot/vmlinuz-5.14.0-427.el9.x86_64",
		},
		{
			"SUSE", tree{"boot/grub2/grub.cfg": config, "usr/sbin/grub2-set-default": "x"},
			BootLoader{
				Kind: GRUB, Tool: "/usr/sbin/grub2-set-default", Config: "/boot/grub2/grub.cfg",
				Entries: map[string]string{"5.14.21-150500.55.52-default": "gnulinux-advanced-U>gnulinux-5.14.21-150500.55.52-default-advanced-U"},
			},
			"5.14.21-150500.55.52-default", "gnulinux-advanced-U>gnulinux-5.14.21-150500.55.52-default-advanced-U",
		},
		{
			"systemd-boot", tree{
				loaderInfo[1:]: efi("systemd-boot 252.38"), "usr/bin/bootctl": "x",
				"boot/loader/entries/m-6.1.0.conf":  "# a comment\ntitle   Debian\nversion 6.1.0-49-amd64\nlinux   /m/linux\n",
				"boot/loader/entries/other.conf":    "title memtest\n",
				"boot/loader/entries/entries.srel":  "type1\n",
				"boot/grub/grub.cfg":                config,
				"boot/loader/entries/m-bad.conf":    "version ../../etc\n",
				"boot/loader/entries/m-6.12.0.conf": "version\t6.12.0\n",
			},
			BootLoader{Kind: SystemdBoot, Tool: "/usr/bin/bootctl", Saved: true, Entries: map[string]string{"6.1.0-49-amd64": "m-6.1.0.conf", "6.12.0": "m-6.12.0.conf"}},
			"6.12.0", "m-6.12.0.conf",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := BootLoaderOf(tt.host.root(t))
			if diff := cmp.Diff(tt.want, r.Value); diff != "" || r.Err != nil {
				t.Errorf("%v (-want +got):\n%s", r.Err, diff)
			}
			if entry, ok := r.Value.Entry(tt.release); !ok || entry != tt.entry {
				t.Errorf("entry %q, %v", entry, ok)
			}
		})
	}
}

func TestNoBootLoader(t *testing.T) {
	for name, h := range map[string]tree{
		"container":             {"etc/": ""},
		"grub without its tool": {"boot/grub/grub.cfg": "x"},
		"EFI variable cut":      {loaderInfo[1:]: "\x06\x00\x00"},
		"bootctl is missing":    {loaderInfo[1:]: efi("systemd-boot 252")},
	} {
		r := BootLoaderOf(h.root(t))
		if r.Err == nil || errors.Is(r.Err, ErrNoBootLoader) != (name == "container" || name == "EFI variable cut") {
			t.Errorf("%s: %v", name, r.Err)
		}
	}
}
