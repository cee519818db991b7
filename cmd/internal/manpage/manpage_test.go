package manpage

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func tool() *cobra.Command {
	run := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "tool", Version: "1", Run: run}
	root.PersistentFlags().StringP("output", "o", "", "form")
	list := &cobra.Command{Use: "list", Run: run}
	list.Flags().BoolP("verbose", "v", false, "more")
	kept := &cobra.Command{Use: "kept"}
	kept.AddCommand(&cobra.Command{Use: "show", Run: run}, &cobra.Command{Use: "delete ID", Run: run})
	hook := &cobra.Command{Use: "hook", Run: run, Hidden: true}
	hook.Flags().Bool("dry", false, "")
	root.AddCommand(list, kept, hook)
	return root
}

const whole = `.Sh SYNOPSIS
.Nm
.Op Fl vo
.Cm list
.Sh DESCRIPTION
.Bl -tag -width "list"
.It Cm list Op Fl v
The flag
.Pq Fl -verbose
adds:
.Bl -bullet
.It
more.
.It Cm text
is no command, but a word of the item.
.El
.It Cm kept show | delete Ar id
What was kept.
.El
.Bl -tag
.It Fl o , Fl -output Cm text | json
The form.
.It Fl v , Fl -version
The version.
.El
`

func TestDifferences(t *testing.T) {
	for _, tt := range []struct{ name, old, now, want string }{
		{"none", "", "", ""},
		{"a command", ".It Cm list Op Fl v", ".It Ar list Op Fl v", "no .It Cm list"},
		{"a command below another", "show | delete", "show", "no .It Cm kept delete"},
		{"a flag", ", Fl -output", "", "tool: no .Fl -output"},
		{"a letter", "Fl o , Fl -output", "Fl -output", "tool: no .Fl o"},
		{"the version", ".It Fl v , Fl -version\n", "", "tool: no .Fl -version"},
		{"a command's flag that stands elsewhere", ".Pq Fl -verbose\n", "", "tool list: no .Fl -verbose"},
		{"a command that is gone", "show | delete", "show | delete | restore", `tool has no command "restore"`},
		{"a flag that is gone", "The form.\n", "The form.\n.Fl -colour\n", "tool has no flag .Fl -colour"},
		{"a bundle with a letter too many", "Fl vo", "Fl vox", "tool has no flag .Fl vox"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := whole
			if tt.old != "" {
				text = strings.Replace(whole, tt.old, tt.now, 1)
			}
			got := strings.Join(Differences(tool(), text), "\n")
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
