package actions

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// filtered are for the tests of what is left out.
func filtered() map[string]Action {
	return map[string]Action{
		"filter-repeat": repeatWrites,
		"filter-evade":  evadeExclusion,
		"filter-many":   manyFiles,
	}
}

// repeatWrites opens a file for writing again and again and changes nothing, and something at last.
func repeatWrites(r *Report) error {
	if err := unix.SchedSetaffinity(0, firstCPU()); err != nil {
		return err
	}
	return (&fileScript{Report: r}).run(func(s *fileScript) error {
		if err := s.make("a"); err != nil {
			return err
		}
		for i := range 11 {
			fd, err := unix.Open(s.at("a"), unix.O_WRONLY, 0)
			if err != nil {
				return err
			}
			if i == 10 {
				unix.Write(fd, []byte("1234567"))
			}
			unix.Close(fd)
		}
		s.rewritten("a", 7)
		s.Events[len(s.Events)-1].Merged = 10
		return nil
	})
}

// firstCPU is one processor for a thread to stay on: what was told lately is remembered by processor, and would be told anew from another one.
func firstCPU() *unix.CPUSet {
	var all, one unix.CPUSet
	unix.SchedGetaffinity(0, &all)
	for cpu := 0; cpu < 1024; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
			return &one
		}
	}
	return &all
}

// evadeExclusion names a file elsewhere by way of the excluded directory, which is TMPDIR.
func evadeExclusion(r *Report) error {
	dir := os.TempDir()
	path := filepath.Dir(dir) + "/amp-actions-evade"
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return unix.Unlink(dir + "/../amp-actions-evade")
}

// ManyCreated is how many files filter-many makes, writes and removes.
const ManyCreated = 3000

func manyFiles(r *Report) error {
	return (&fileScript{Report: r}).run(func(s *fileScript) error {
		for i := range ManyCreated {
			path := s.at(fmt.Sprint(i))
			if err := os.WriteFile(path, []byte("1"), 0o600); err != nil {
				return err
			}
			if err := unix.Unlink(path); err != nil {
				return err
			}
		}
		return nil
	})
}
