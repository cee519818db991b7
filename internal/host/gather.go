package host

import (
	"context"
	"runtime"
	"sync"
)

// Options say what Gather looks at.
type Options struct {
	Kernel string // judge the kernel with this release; "" is the running one, or an image's only one
}

// Gather reads the facts of the host below r. Nothing that cannot be read ends it: each Reading carries its own error.
func Gather(ctx context.Context, r Root, o Options) Facts {
	f := Facts{Root: r.Dir(), Live: r.Live(), Arch: runtime.GOARCH}
	if err := r.Check(); err != nil {
		return f.unreadable(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		f.Distribution = DistributionOf(r)
		f.PackageManager = packageManager(r, f.Distribution)
		f.Engine = engine(r, f.Distribution)
	})
	wg.Go(func() {
		f.Kernel = kernel(r, o.Kernel)
		f.ModuleLoading = ModuleLoadingOf(r, f.Kernel)
	})
	wg.Go(func() {
		f.LoginDefs = LoginSettingsOf(r)
		f.Memory = memory(r)
		f.Init = initSystem(r)
		f.Disk = disks(ctx, r)
	})
	f.Installation = FindConnector(ctx, r)
	c := f.connector()
	a := readAccounts(ctx, r)
	f.Account = a.facts(c.ScanAccount)
	a.lookForIDs(&f.Account)
	f.Directories = directories(a, c.Directories)
	f.Unit = UnitOf(r, c.Unit)
	wg.Wait()
	return f
}

// connector is the row of the installed connector, ours where none is; it fills Connectors.
func (f *Facts) connector() Connector {
	for _, c := range Connectors {
		if c.Name == f.Installation.Value.Connector {
			f.Connectors = []Connector{c}
			return c
		}
	}
	return Connectors[0]
}

// unreadable is the facts of a root that cannot be looked at: every reading carries err.
func (f Facts) unreadable(err error) Facts {
	c := Connectors[0]
	f.Distribution = NotKnown[Distribution](f.Root, err)
	f.Kernel = NotKnown[Kernel](f.Root, err)
	f.ModuleLoading = noModuleLoading(f.Root, err)
	f.LoginDefs = NotKnown[*LoginSettings](f.Root, err)
	f.Memory = NotKnown[Memory](f.Root, err)
	f.Engine = EngineFacts{NotKnown[[]string](f.Root, err), NotKnown[bool](f.Root, err)}
	f.Init = NotKnown[Init](f.Root, err)
	f.PackageManager = NotKnown[PackageManager](f.Root, err)
	f.Installation = NotKnown[Installation](f.Root, err)
	f.Unit = NotKnown[UnitFile](f.Root, err)
	f.Account = unreadableAccount(c.ScanAccount, f.Root, err)
	for _, path := range diskPaths {
		f.Disk = append(f.Disk, DiskFact{path, NotKnown[uint64](f.Root, err), NotKnown[bool](f.Root, err)})
	}
	for _, d := range c.Directories {
		f.Directories = append(f.Directories, DirectoryFact{
			Want: d, State: NotKnown[*DirectoryState](f.Root, err),
			WantUID: NotKnown[uint32](f.Root, err), WantGID: NotKnown[uint32](f.Root, err),
		})
	}
	return f
}

func unreadableAccount(name, root string, err error) AccountFacts {
	return AccountFacts{
		Name:         name,
		User:         NotKnown[*Account](root, err),
		Group:        NotKnown[*Group](root, err),
		Password:     NotKnown[Password](root, err),
		ExtraGroups:  NotKnown[[]string](root, err),
		SameUID:      NotKnown[[]string](root, err),
		SameGID:      NotKnown[[]string](root, err),
		HomeOwner:    NotKnown[*uint32](root, err),
		PrimaryGroup: NotKnown[string](root, err),
		GroupMembers: NotKnown[[]string](root, err),
		FreeUID:      NotKnown[uint32](root, err),
		FreeGID:      NotKnown[uint32](root, err),
	}
}
