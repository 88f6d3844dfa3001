// Command etcd is the server that tests run. With the arguments "snapshot
// restore" it makes a data directory from a snapshot, as etcdutl does.
package main

import (
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "snapshot" {
		etcdmain.Main(os.Args)
		return
	}
	root := &cobra.Command{Use: "etcd"}
	root.AddCommand(etcdutl.NewSnapshotCommand())
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}
