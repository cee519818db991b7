// Command lab builds the guests of vagrant/matrix.yaml and runs things in them; vagrant/README.md tells how it is used. It exits 1 when
// tests failed in a guest, the script of exec did, or the connector came to cost more, and 2 when the lab itself could not do its work.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ampconnector/amp/vagrant/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		if errors.Is(err, errTests) || errors.Is(err, errScript) || errors.Is(err, errRegression) {
			os.Exit(1)
		}
		os.Exit(2)
	}
}

// errScript says that the script of exec ran and did not exit 0.
var errScript = errors.New("the script failed")

// flags are common to the subcommands.
type flags struct {
	matrix string
	dist   string // packages that guests get
	out    string // folder for what is kept of a run
	guests []string
	run    string
	all    bool
	json   bool
}

func command() *cobra.Command {
	var f flags
	root := &cobra.Command{Use: "lab", Short: "Guests with a real kernel, systemd and SELinux, under software emulation", SilenceUsage: true, SilenceErrors: true}
	root.PersistentFlags().StringVar(&f.matrix, "matrix", "vagrant/matrix.yaml", "file with the guests")
	root.PersistentFlags().StringVar(&f.dist, "dist", "dist", "folder with the packages that guests get")
	root.PersistentFlags().StringVar(&f.out, "out", "dist/lab", "folder for console logs and results, one below it for each guest")
	root.AddCommand(testCommand(&f), benchCommand(&f), scansCommand(&f), execCommand(&f), shellCommand(&f), imageCommand(&f), listCommand(&f))
	return root
}

func testCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "test", Args: cobra.NoArgs, Short: "Run the guest tests; standard output is a stream as of go test -json",
		RunE: func(c *cobra.Command, _ []string) error { return test(c.Context(), f) }}
	c.Flags().StringSliceVar(&f.guests, "guest", nil, "guests to boot, with all their scripts (default: those of make test)")
	c.Flags().StringVar(&f.run, "run", "", "only scripts whose name matches this regular expression")
	c.Flags().BoolVar(&f.all, "all", false, "every guest and every script, those too that make test leaves out")
	c.MarkFlagsMutuallyExclusive("all", "guest")
	return c
}

func execCommand(f *flags) *cobra.Command {
	counted, parameters := false, []string(nil)
	c := &cobra.Command{Use: "exec GUEST SCRIPT [FILE…]", Args: cobra.MinimumNArgs(2), Short: "Run a bash script as root in a fresh guest and show its output",
		Long: "Run a bash script as root in a fresh guest and show its output. The packages of --dist and the files are at /media/amplab.",
		RunE: func(c *cobra.Command, args []string) error {
			return execScript(c.Context(), f, counted, parameters, args[0], args[1], args[2:])
		}}
	c.Flags().StringArrayVar(&parameters, "parameter", nil, "word of the kernel's command line beside those of the guest's row; may be given again")
	c.Flags().BoolVar(&counted, "counted", false, "give the guest one processor and a clock that counts instructions, 1 ns each")
	return c
}

func shellCommand(f *flags) *cobra.Command {
	return &cobra.Command{Use: "shell GUEST", Args: cobra.ExactArgs(1), Short: "Log in as root in a fresh guest; the guest ends with the login",
		RunE: func(c *cobra.Command, args []string) error { return shell(c.Context(), f, args[0]) }}
}

func imageCommand(f *flags) *cobra.Command {
	return &cobra.Command{Use: "image [GUEST…]", Short: "Build the images of guests (default: those of make test) if they are not in the cache, and print where they are",
		RunE: func(c *cobra.Command, args []string) error {
			f.guests = args
			guests, err := f.tested()
			if err != nil {
				return err
			}
			for _, g := range guests {
				img, err := f.image(c.Context(), g)
				if err != nil {
					return err
				}
				fmt.Println(img.Dir)
			}
			return nil
		}}
}

func listCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "list", Args: cobra.NoArgs, Short: "List the guests",
		RunE: func(*cobra.Command, []string) error {
			m, err := lab.LoadMatrix(f.matrix)
			if err != nil {
				return err
			}
			if f.json {
				return json.NewEncoder(os.Stdout).Encode(m)
			}
			for _, g := range m.Guests {
				fmt.Printf("%-24s %s\n", g.Name, g.Purpose)
			}
			return nil
		}}
	c.Flags().BoolVar(&f.json, "json", false, "as JSON, for a Vagrantfile or another program")
	return c
}

// chosen are the named guests, or all.
func (f *flags) chosen(names []string) ([]lab.Guest, error) {
	m, err := lab.LoadMatrix(f.matrix)
	if err != nil || len(names) == 0 {
		return m.Guests, err
	}
	var out []lab.Guest
	for _, n := range names {
		g, err := m.Guest(n)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

// image returns a guest's image and keeps the log of building it.
func (f *flags) image(ctx context.Context, g lab.Guest) (lab.Image, error) {
	cache, err := lab.CacheDir()
	if err != nil {
		return lab.Image{}, err
	}
	dir := filepath.Join(f.out, g.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return lab.Image{}, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "image.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return lab.Image{}, err
	}
	defer log.Close()
	img, err := lab.BuildImage(ctx, g, cache, log)
	if err != nil {
		return lab.Image{}, fmt.Errorf("%w (all of it: %s)", err, log.Name())
	}
	return img, nil
}

// packages are the built packages of this architecture as files of a payload, of each name the one that was built last. None is no
// error here, since a script may not need any.
func (f *flags) packages() (map[string]string, error) {
	newest := map[string]time.Time{}
	files := map[string]string{}
	for _, name := range []string{"amp-connector", "amp-remediate"} {
		for _, pattern := range []string{name + "_*_amd64.deb", name + "-*.x86_64.rpm"} {
			found, err := filepath.Glob(filepath.Join(f.dist, pattern))
			if err != nil {
				return nil, err
			}
			for _, p := range found {
				info, err := os.Stat(p)
				if err != nil {
					return nil, err
				}
				to := "packages/" + name + filepath.Ext(p)
				if info.ModTime().After(newest[to]) {
					newest[to], files[to] = info.ModTime(), p
				}
			}
		}
	}
	return files, nil
}

// addModules builds the modules that a guest's row asks for, and adds them to files; dir keeps what the build said.
func (f *flags) addModules(ctx context.Context, files map[string]string, dir string, img lab.Image) error {
	if !img.Guest.Modules && img.Guest.ModulesOf == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "modules.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	modules, err := f.modules(ctx, img, log)
	if err != nil {
		return fmt.Errorf("%w (all of it: %s)", err, log.Name())
	}
	maps.Copy(files, modules)
	return nil
}

// modules are those of an image, or of another one, which is built for them if it is not there.
func (f *flags) modules(ctx context.Context, img lab.Image, log io.Writer) (map[string]string, error) {
	if img.Guest.Modules {
		return img.Modules(ctx, log)
	}
	guests, err := f.chosen([]string{img.Guest.ModulesOf})
	if err != nil {
		return nil, err
	}
	cache, err := lab.CacheDir()
	if err != nil {
		return nil, err
	}
	of, err := lab.BuildImage(ctx, guests[0], cache, log)
	if err != nil {
		return nil, err
	}
	return img.ModulesOf(ctx, of, log)
}

// prepare gets a guest's image and a payload with the packages.
func (f *flags) prepare(ctx context.Context, name string) (lab.Image, lab.Payload, error) {
	guests, err := f.chosen([]string{name})
	if err != nil {
		return lab.Image{}, lab.Payload{}, err
	}
	img, err := f.image(ctx, guests[0])
	if err != nil {
		return lab.Image{}, lab.Payload{}, err
	}
	files, err := f.packages()
	return img, lab.Payload{Files: files}, err
}

// scratch is a folder of this run alone, so that several people can boot one guest at a time.
func (f *flags) scratch(guest, what string) (string, error) {
	dir := filepath.Join(f.out, guest)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, what+"-"+time.Now().Format("150405")+"-")
}

func execScript(ctx context.Context, f *flags, counted bool, parameters []string, guest, script string, files []string) error {
	img, p, err := f.prepare(ctx, guest)
	if err != nil {
		return err
	}
	if counted {
		img.Guest.Counted, img.Guest.CPUs = true, 1
	}
	img.Guest.Cmdline = append(slices.Clone(img.Guest.Cmdline), parameters...)
	p.Files["script"] = script
	for _, name := range files {
		p.Files[filepath.Base(name)] = name
	}
	p.Run = "exec bash /media/amplab/script 2>&1\n"
	dir, err := f.scratch(guest, "exec")
	if err != nil {
		return err
	}
	if err := f.addModules(ctx, p.Files, dir, img); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "booting %s; console: %s/serial.log\n", guest, dir)
	status, err := lab.Boot(ctx, img, p, dir, os.Stdout)
	if err != nil {
		return err
	}
	if status != 0 {
		return fmt.Errorf("%s: %w: exit status %d in %s", script, errScript, status, guest)
	}
	return nil
}

func shell(ctx context.Context, f *flags, guest string) error {
	img, p, err := f.prepare(ctx, guest)
	if err != nil {
		return err
	}
	dir, err := f.scratch(guest, "shell")
	if err != nil {
		return err
	}
	if err := f.addModules(ctx, p.Files, dir, img); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "booting %s (half a minute); console: %s/serial.log; log out to end the guest\r\n", guest, dir)
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		old, err := term.MakeRaw(fd)
		if err != nil {
			return err
		}
		defer term.Restore(fd, old)
	}
	return lab.Shell(ctx, img, p, dir)
}
