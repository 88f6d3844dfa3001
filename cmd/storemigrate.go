package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/etcdstore"
	"github.com/caddy-api-keys/gateway/module/etcdstore/caddymodule"
	"github.com/caddy-api-keys/gateway/module/records"
)

// What the places of a key store begin with.
const (
	inFile = "bbolt:"
	inEtcd = "etcd:"
)

func migrateStoreCommand() *cobra.Command {
	cmd := command("migrate FROM TO", "Moves a key store from a file into etcd, or back", 2, 2, migrateStore, func(f *pflag.FlagSet) {
		f.Bool("prepare", false, "Only copy into etcd; a later run copies what has changed, and finishes")
		f.String("prefix", "", "Prefix of the store's keys in etcd (default "+etcdstore.DefaultPrefix+")")
		f.String("user", "", "User of etcd")
		f.String("password-file", "", "File with the password of the user of etcd, on its first line")
		f.String("ca", "", "File with the certificates of the authorities that etcd's are signed by")
		f.String("cert", "", "File with the client certificate for etcd")
		f.String("key", "", "File with the key of the client certificate")
	})
	cmd.Long = `
FROM and TO are bbolt:FILE and etcd:URL[,URL...], in either order.

Into etcd: with --prepare, a backup can be copied while Caddy runs on the key
store. Then stop Caddy, and run the command with the key store itself and without
--prepare. It copies what has changed since, compares everything, and makes a key
store of it that nodes can use. A run that was ended can be repeated. Don't finish
with a backup: keys that were revoked since would work again. The file is left as
it is; don't use it again.

Out of etcd: stop all nodes first. FILE must not exist. The key store in etcd
can't be used any more afterwards.`
	return cmd
}

func migrateStore(c *call) error {
	for _, name := range []string{"db", "address"} {
		if c.flag(name) != "" {
			return usagef("--%s is not for this command: it takes two places, such as bbolt:keys.db etcd:http://localhost:2379", name)
		}
	}
	from, to := c.args[0], c.args[1]
	prepare, _ := c.Flags().GetBool("prepare") // declared as such
	switch {
	case strings.HasPrefix(from, inFile) && strings.HasPrefix(to, inEtcd):
		config, err := c.etcdConfig(strings.TrimPrefix(to, inEtcd))
		if err != nil {
			return err
		}
		return c.moved(moveIn(c.Context(), strings.TrimPrefix(from, inFile), config, !prepare))
	case strings.HasPrefix(from, inEtcd) && strings.HasPrefix(to, inFile) && !prepare:
		config, err := c.etcdConfig(strings.TrimPrefix(from, inEtcd))
		if err != nil {
			return err
		}
		return c.moved(etcdstore.MoveOut(c.Context(), config, strings.TrimPrefix(to, inFile)))
	}
	return usagef("give bbolt:FILE and etcd:URL[,URL...], in the order from and to; --prepare is for moving into etcd")
}

func moveIn(ctx context.Context, file string, config etcdstore.Config, finish bool) (done etcdstore.Moved, err error) {
	err = boltstore.ReadWhole(ctx, file, func(r records.Reader) (err error) {
		done, err = etcdstore.MoveIn(ctx, config, r, finish)
		return err
	})
	return done, err
}

// etcdConfig returns how to reach etcd.
func (c *call) etcdConfig(endpoints string) (etcdstore.Config, error) {
	store := caddymodule.EtcdStore{
		Endpoints: strings.Split(endpoints, ","), Prefix: c.flag("prefix"),
		User: c.flag("user"), PasswordFile: c.flag("password-file"),
	}
	if c.flag("ca") != "" || c.flag("cert") != "" || c.flag("key") != "" {
		store.TLS = &caddymodule.TLS{CA: c.flag("ca"), Cert: c.flag("cert"), Key: c.flag("key")}
	}
	return store.Config()
}

// moved tells what was moved.
func (c *call) moved(done etcdstore.Moved, err error) error {
	if err != nil {
		return fmt.Errorf("moving the key store: %w", err)
	}
	if c.json {
		return c.printValue(done)
	}
	out := c.OutOrStdout()
	fmt.Fprintf(out, "%s, of which %d were written now.\n", counted(done.Records, "record"), done.Written)
	if !done.Finished {
		fmt.Fprintln(out, "Prepared. Stop Caddy, and run it again with the key store itself and without --prepare.")
		return nil
	}
	fmt.Fprintln(out, "Moved and compared. Don't use the key store at its old place again.")
	return nil
}
