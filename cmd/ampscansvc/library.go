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
