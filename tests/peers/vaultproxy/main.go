// `vault proxy` as it is published, without the rest of the command line: its package registers every storage and auth plug-in there
// is. build takes the files of the command itself from the module, unchanged, and puts command.go beside them.
package main

import (
	"os"

	"keybearer.test/vaultproxy/command"
)

func main() { os.Exit(command.Proxy(os.Args[1:])) }
