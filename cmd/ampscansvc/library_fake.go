//go:build fakeengine

package main

import (
	"github.com/ampconnector/amp/internal/scan/engine/fake"
	"github.com/ampconnector/amp/internal/scan/service"
)

// library is the stand-in for libclamav that tests build.
func library() (service.Library, error) { return fake.Library{}, nil }
