package main

import (
	"errors"
	"io"
	"syscall"
)

// output is standard output, and remembers that it did not take all of it: a diagnosis, or a policy, that is cut short is no answer.
type output struct {
	to  io.Writer
	err error // the first
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.to.Write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// failed is why the output is cut short; nil if it is whole. Who closes a pipe has read enough.
func (o *output) failed() error {
	if errors.Is(o.err, syscall.EPIPE) {
		return nil
	}
	return o.err
}
