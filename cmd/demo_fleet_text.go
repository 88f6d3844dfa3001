package cmd

import (
	"fmt"
	"strings"
)

// demoFleetText returns what the demo of two gates prints.
func demoFleetText(f *demoFleet, k demoKeys, shown demoShown) string {
	one, two := f.gates[0], f.gates[1]
	var b strings.Builder
	fmt.Fprintf(&b, `Two gates that share their keys are running on this machine, until Ctrl-C ends them:

    gate 1    %s, in this process
    gate 2    %s, in process %d
    etcd      %s, in process %d, which keeps the keys for both
    admin 1   %s, where users, apps and keys are made and revoked ...
    admin 2   %s, where the same can be done
    portal    %s/portal, and the same at gate 2; sign in as
              %s with the password %s
    upstream  http://%s, which echoes what it gets from the gates
    data      %s

A revocation on one gate returns when no gate lets the key through. The demo has tried it:

    200  gate 2 let a key through.
    ok   Gate 1 revoked it, which took %.1f ms ...
    401  ... and gate 2 refused it, %.1f ms later.

This is what tells the gates of each other, with a file for each of them:

%s
Open another terminal in this folder, and paste these commands one by one. Above each is
the expected HTTP status.
`, one.url(), two.url(), f.second.cmd.Process.Pid, one.etcd, f.etcd.cmd.Process.Pid, one.admin, two.admin,
		one.url(), k.email, k.password, one.upstream, f.folder,
		1e3*shown.revoked.Seconds(), 1e3*shown.refused.Seconds(), indented(one.sharing()))

	for i, step := range f.steps(k) {
		fmt.Fprintf(&b, "\n%2d  %s\n%s", i+1, step.says, indented(step.command))
	}
	b.WriteString("\nCtrl-C ends the demo. What you make is kept for the next run, which prints new keys.\n")
	return b.String()
}

// sharing returns the part of a gate's Caddyfile that names the store.
func (p *demoPlaces) sharing() string {
	return fmt.Sprintf(`{
    api_keys {
        store etcd %s {
            mirror %q
        }
    }
}
`, p.etcd, p.mirror())
}

// steps are the commands of the demo, in their order.
func (f *demoFleet) steps(k demoKeys) []demoStep {
	one, two, etcd := f.gates[0], f.gates[1], f.etcd.cmd.Process.Pid
	return []demoStep{
		{"200  This key may predict in the app photos: on gate 1 ...", one.curl(k.predicts.ID, demoOutputs, "-X POST")},
		{"200  ... and on gate 2.", two.curl(k.predicts.ID, demoOutputs, "-X POST")},
		{"ok   Revoke it on gate 1 ...", one.manage("key revoke " + k.predicts.KeyID)},
		{"401  ... and the very next request is refused on gate 2 ...", two.curl(k.predicts.ID, demoOutputs, "-X POST")},
		{"401  ... and on gate 1.", one.curl(k.predicts.ID, demoOutputs, "-X POST")},
		{"ok   Make a key on gate 2. It works on both.", two.manage("key create --user demo --app photos --scopes All")},
		{"ok   List the gates, with the changes that each has applied.", two.manage("fleet nodes")},
		{"ok   Stop etcd for a while. Each gate decides for 2 more seconds ...", fmt.Sprintf("kill -STOP %d; sleep 3", etcd)},
		{"503  ... and then refuses, because it can't know of revocations on the other ...", one.curl(k.reads.ID, demoInputs)},
		{"ok   ... until etcd goes on.", fmt.Sprintf("kill -CONT %d; sleep 5", etcd)},
		{"200  This key may read.", two.curl(k.reads.ID, demoInputs)},
	}
}
