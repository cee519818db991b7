//go:build !fakeengine

package main

import (
	"github.com/ampconnector/amp/internal/scan/engine"
	"github.com/ampconnector/amp/internal/scan/service"
)

// library opens libclamav.
func library() (service.Library, error) {
	l, err := engine.Open()
	if err != nil {
		return nil, err
	}
	return opened{l}, nil
}

// opened makes an engine's library one of the service's.
type opened struct{ *engine.Library }

func (l opened) Load(o engine.Options) (service.Engine, error) { return l.Library.Load(o) }
