package kmod

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// LoadError is why the kernel did not take a module. Err holds the errno of finit_module(2); what was the matter with it often stands in
// the kernel's log alone.
type LoadError struct {
	Module string // its name
	File   string // the .ko
	Err    error
}

func (e *LoadError) Error() string {
	return fmt.Sprintf("load kernel module %s from %s: %v", e.Module, e.File, e.Err)
}

func (e *LoadError) Unwrap() error { return e.Err }

// Load loads the module of that name from an open .ko file, with parameters as "name=value". One that is loaded already is the error EEXIST.
func Load(module string, file *os.File, parameters ...string) error {
	if err := unix.FinitModule(int(file.Fd()), strings.Join(parameters, " "), 0); err != nil {
		return &LoadError{Module: module, File: file.Name(), Err: err}
	}
	return nil
}

// unloadPatience is for those that still look into the device, as a reader that ends at the moment, or a program that goes through /dev.
const (
	unloadPatience = 2 * time.Second
	unloadPause    = 20 * time.Millisecond
)

// Unload takes a module out. One that is not loaded is no error; one that is in use is EAGAIN or EBUSY, after a short while.
func Unload(module string) error {
	for deadline := time.Now().Add(unloadPatience); ; time.Sleep(unloadPause) { //nolint:forbidigo // the kernel tells nobody when the last user is gone
		err := unix.DeleteModule(module, unix.O_NONBLOCK)
		busy := errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EBUSY)
		switch {
		case err == nil, errors.Is(err, unix.ENOENT):
			return nil
		case !busy || time.Now().After(deadline):
			return fmt.Errorf("unload kernel module %s: %w", module, err)
		}
	}
}
