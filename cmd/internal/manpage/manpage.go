// Package manpage compares hand-written manual pages with the commands that they describe, so that none of them is forgotten.
package manpage

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Differences lists the commands and flags of root that its page, in mdoc(7), does not tell of, and those that it tells of and root does not
// have. A command is told of by a list item (.It Cm name); a flag of the program by a list item with its letter and its long form
// (.It Fl n , Fl -name); a flag of one command by both in that command's item. What root hides need not be told of.
func Differences(root *cobra.Command, page string) []string {
	root.InitDefaultHelpFlag()
	root.InitDefaultVersionFlag()
	p := parse(page)
	var bad []string
	for _, f := range flags(root) {
		bad = append(bad, missing(f, p.options, root.CommandPath())...)
	}
	for _, c := range commands(root) {
		path := strings.Fields(c.CommandPath())[1:]
		i := slices.IndexFunc(p.items, func(i item) bool { return i.tells(path) })
		if i < 0 {
			bad = append(bad, "no .It Cm "+strings.Join(path, " "))
			continue
		}
		for _, f := range flags(c) {
			bad = append(bad, missing(f, p.items[i].flags, c.CommandPath())...)
		}
	}
	return append(bad, invented(root, p)...)
}

// flags are those that c shows and does not inherit. That --help is there everybody knows.
func flags(c *cobra.Command) (shown []*pflag.Flag) {
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			shown = append(shown, f)
		}
	})
	return shown
}

// commands are all below c that it shows and that do something.
func commands(c *cobra.Command) (shown []*cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" {
			continue
		}
		if sub.Runnable() {
			shown = append(shown, sub)
		}
		shown = append(shown, commands(sub)...)
	}
	return shown
}

func missing(f *pflag.Flag, told []string, of string) (bad []string) {
	if !slices.Contains(told, "-"+f.Name) {
		bad = append(bad, fmt.Sprintf("%s: no .Fl -%s", of, f.Name))
	}
	if f.Shorthand != "" && !slices.Contains(told, f.Shorthand) {
		bad = append(bad, fmt.Sprintf("%s: no .Fl %s", of, f.Shorthand))
	}
	return bad
}

// invented lists what the page tells of and root does not have.
func invented(root *cobra.Command, p page) (bad []string) {
	names, known := map[string]bool{}, map[string]bool{}
	var collect func(*cobra.Command)
	collect = func(c *cobra.Command) {
		names[c.Name()] = true
		c.Flags().VisitAll(func(f *pflag.Flag) { known["-"+f.Name], known[f.Shorthand] = true, true })
		c.PersistentFlags().VisitAll(func(f *pflag.Flag) { known["-"+f.Name], known[f.Shorthand] = true, true })
		for _, sub := range c.Commands() {
			collect(sub)
		}
	}
	collect(root)
	for _, i := range p.items {
		for _, word := range i.words {
			if !names[word] {
				bad = append(bad, fmt.Sprintf("%s has no command %q", root.Name(), word))
			}
		}
	}
	for _, f := range p.flags {
		if !known[f] && !bundle(f, known) {
			bad = append(bad, fmt.Sprintf("%s has no flag .Fl %s", root.Name(), f))
		}
	}
	return bad
}

// bundle reports whether f is several letters in one, as in "-ny".
func bundle(f string, known map[string]bool) bool {
	if strings.HasPrefix(f, "-") {
		return false
	}
	for _, letter := range f {
		if !known[string(letter)] {
			return false
		}
	}
	return true
}

// page is what counts of a manual page.
type page struct {
	flags   []string // as they stand after Fl, "n" or "-name", wherever
	options []string // those of list items
	items   []item
}

// item is a list item that describes commands.
type item struct {
	words []string // of its Cm: the commands, one or several, with those that they are below
	flags []string // of its text too
}

// tells reports whether the command of that path, its name last, is among those of the item.
func (i item) tells(path []string) bool {
	for _, word := range path {
		if !slices.Contains(i.words, word) {
			return false
		}
	}
	return true
}

func parse(text string) page {
	p := parser{open: -1}
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 && strings.HasPrefix(line, ".") {
			p.line(words)
		}
	}
	return p.page
}

// parser stands in a page.
type parser struct {
	page
	open  int // the item that a line belongs to, -1 for none
	depth int // how many lists were begun in that item
}

func (p *parser) line(words []string) {
	switch words[0] {
	case ".Bl":
		p.depth++
	case ".El":
		if p.depth--; p.depth < 0 {
			p.open = -1
		}
	case ".Sh", ".Ss":
		p.open = -1
	case ".It":
		if p.open < 0 || p.depth == 0 {
			p.item(words)
		}
	}
	found := after(words, "Fl")
	p.flags = append(p.flags, found...)
	if p.open >= 0 {
		p.items[p.open].flags = append(p.items[p.open].flags, found...)
	}
}

// item begins an item that does not stand in another.
func (p *parser) item(words []string) {
	p.open = -1
	if len(words) < 2 {
		return
	}
	switch words[1] {
	case "Fl":
		p.options = append(p.options, after(words, "Fl")...)
	case "Cm":
		p.items = append(p.items, item{words: after(words, "Cm")})
		p.open, p.depth = len(p.items)-1, 0
	}
}

var macro = regexp.MustCompile(`^[A-Z][a-z]$`)

// after returns the arguments of a macro, wherever in a line it is called. Delimiters are none.
func after(line []string, name string) (args []string) {
	in := false
	for _, word := range line {
		word = strings.TrimPrefix(word, ".")
		switch {
		case macro.MatchString(word):
			in = word == name
		case in && strings.Trim(word, "|.,:;()[]?!") != "":
			args = append(args, word)
		}
	}
	return args
}
