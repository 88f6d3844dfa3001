package directory_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// BenchmarkCharge measures what limits add to a request: a rate, a quota and the number
// of live requests. All processors use one key, or each uses a key of its own.
func BenchmarkCharge(b *testing.B) {
	const most = 64
	owned, err := directory.NewIdle(openStore(b), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer owned.Close()
	limits := policy.Limits{
		Rate: policy.Rate{N: 1e7, Per: time.Second, Burst: 1e9}, Quota: policy.Quota{N: 1e15, Per: policy.Month}, Concurrent: 1000,
	}
	digest := func(i int64) credential.Digest { return credential.DigestOf(fmt.Sprint(i)) }
	err = owned.Update(b.Context(), operator, func(tx *keys.Tx) error {
		if _, err := tx.CreateUser(keys.User{ID: "alice"}); err != nil {
			return err
		}
		for i := range int64(most) {
			c := keys.Credential{Digest: digest(i), ID: fmt.Sprint("cap_", i), Kind: policy.PAT, UserID: "alice", Limits: limits}
			if _, err := tx.CreateCredential(c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for name, keys := range map[string]int64{"one key": 1, "a key each": most} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var next atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				e, err := owned.Find(b.Context(), digest(next.Add(1)%keys))
				for err == nil && pb.Next() {
					var c directory.Charge
					var exceeded directory.Exceeded
					if exceeded, err = owned.Charge(b.Context(), &c, e, 1); exceeded.Kind != 0 {
						b.Errorf("exceeds %+v", exceeded)
						return
					}
					c.Release()
				}
				if err != nil {
					b.Error(err)
				}
			})
		})
	}
}
