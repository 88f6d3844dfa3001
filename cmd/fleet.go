package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func fleetCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "fleet <command>", Short: "Shows and mends the nodes that share a key store in etcd"})
	reconcile := command("reconcile", "Takes back what etcd has lost, so that the nodes decide again", 0, 0, reconcileFleet, func(f *pflag.FlagSet) {
		f.Bool("accept-lost-revocations", false, "Go on without nodes that don't answer, even if only they know of some revocations")
	})
	reconcile.Long = `
If a snapshot of etcd is restored, or etcd loses changes in another way, keys that
were revoked since would work again. A node that knows more than etcd therefore
keeps all nodes from deciding, and they answer 503.

This command has those nodes put back into etcd what they know was revoked,
narrowed, disabled or deleted, as "store restore" does. Then all nodes decide
again. Nodes that don't run can't tell what they know: start them with their
mirrors first. If a mirror is lost, give --accept-lost-revocations, and revoke
again what may have been revoked since the snapshot.`
	cmd.AddCommand(
		command("nodes", "Lists the nodes, and how far behind each is", 0, 0, listNodes),
		reconcile,
	)
	return cmd
}

func listNodes(c *call) error {
	if err := c.connect(); err != nil {
		return err
	}
	text, answer, err := c.api.askAt(c.Context(), "GET", []string{"fleet", "nodes"}, nil, nil)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(text)
	}
	f, out := answer.Fleet, c.OutOrStdout()
	for _, n := range f.Nodes {
		state := fmt.Sprintf("revision %d", n.Revision)
		if n.Behind > 0 {
			state += fmt.Sprintf(", %s behind", counted(int(n.Behind), "change")) //nolint:gosec // far below
		}
		here := ""
		if n.ID == f.Node {
			here = " (this node)"
		}
		fmt.Fprintf(out, "%s  %s%s, since %s, %s\n", n.ID, n.Name, here, when(n.Started), state)
	}
	if f.Fresh {
		fmt.Fprintf(out, "This node knows everything up to %.1f s ago, and may decide up to %g s.\n", f.LagSeconds, f.MaxStalenessSeconds)
		return nil
	}
	fmt.Fprintf(out, "This node may not know the newest changes (%s). on_stale is %s.\n", f.Why, f.OnStale)
	return nil
}

func reconcileFleet(c *call) error {
	if err := c.connect(); err != nil {
		return err
	}
	accept, _ := c.Flags().GetBool("accept-lost-revocations") // declared as such
	text, answer, err := c.api.askAt(c.Context(), "POST", []string{"fleet", "reconcile"}, nil, map[string]bool{"accept_lost_revocations": accept})
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(text)
	}
	done, out := answer.Reconciled, c.OutOrStdout()
	switch {
	case len(done.Nodes) == 0:
		fmt.Fprintln(out, "Nothing is lost, and nothing was changed.")
	case len(done.Lost) > 0:
		fmt.Fprintf(out, "Went on without the mirrors %s: revoke again what may have been revoked since the snapshot.\n", strings.Join(done.Lost, ", "))
	default:
		fmt.Fprintf(out, "Took back what %s knew. All nodes decide again.\n", counted(len(done.Nodes), "mirror"))
	}
	return nil
}
