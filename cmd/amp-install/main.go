// Command amp-install sets up and removes what the connector needs on a host. The packages carry it as another name of amp-remediate, with which it
// shares nearly all of its code.
package main

import (
	"os"

	"github.com/ampconnector/amp/cmd/internal/hostsetup"
)

// version is set by the linker.
var version = "devel"

func main() { os.Exit(hostsetup.Main(version)) }
