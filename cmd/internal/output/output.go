// Package output is standard output that remembers whether it took all: a diagnosis, or a policy, that is cut short is no answer.
package output

import (
	"errors"
	"io"
	"syscall"
)

// Output writes to a writer.
type Output struct {
	to  io.Writer
	err error // the first
}

// To is an output that writes to w.
func To(w io.Writer) *Output { return &Output{to: w} }

func (o *Output) Write(b []byte) (int, error) {
	n, err := o.to.Write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// Failed is why the output is cut short; nil if it is whole. Who closes a pipe has read enough.
func (o *Output) Failed() error {
	if errors.Is(o.err, syscall.EPIPE) {
		return nil
	}
	return o.err
}
