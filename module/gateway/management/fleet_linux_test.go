package management

import (
	"fmt"
	"path/filepath"

	_ "github.com/caddy-api-keys/gateway/module/etcdstore/caddymodule"
	"github.com/caddy-api-keys/gateway/module/gatetest/etcdtest"
)

// fleet makes the calls about a fleet, which is this node alone.
func (d *described) fleet() {
	etcd := etcdtest.Start(d.t, 1, etcdtest.UnsafeNoFsync())
	mirror := filepath.Join(d.t.TempDir(), "mirror.db")
	err := d.Load(fmt.Sprintf("{\nadmin %s\npersist_config off\napi_keys {\nstore etcd %s {\nmirror %s\nmax_staleness 20s\n}\n}\n}\n", d.admin, etcd.Endpoints()[0], mirror))
	if err != nil {
		d.t.Fatal(err)
	}
	f := d.do(byOperator, "GET /fleet/nodes", nil, "", 200).Fleet
	if !f.Fresh || len(f.Nodes) != 1 || f.Nodes[0].ID != f.Node {
		d.t.Errorf("the fleet is %+v", f)
	}
	for _, body := range []string{"", `{"accept_lost_revocations":true}`} {
		if done := d.do(byOperator, "POST /fleet/reconcile", nil, body, 200).Reconciled; len(done.Nodes) > 0 {
			d.t.Errorf("nothing was lost, and %v took something back", done.Nodes)
		}
	}
	d.do(byOperator, "POST /v2/users?wait=false", nil, `{"users":[{"id":"zoe"}]}`, 200)
}
