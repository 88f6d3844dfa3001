package authz_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// entry is a record of a registry that needs no store.
type entry struct {
	caller   policy.Caller
	standing keys.Standing
}

func (e *entry) Exists() bool           { return e != nil }
func (e *entry) Caller() *policy.Caller { return &e.caller }
func (e *entry) Grant() *policy.Grant   { return &e.caller.Grant }

type registry struct {
	credentials   map[credential.Digest]*entry
	collaborators map[keys.CollaboratorRef]*entry
	// fails is what every look-up of that kind fails with.
	failsFind, failsCollaborator error
}

func (r *registry) Find(_ context.Context, d credential.Digest) (*entry, error) {
	return r.credentials[d], r.failsFind
}

func (r *registry) Collaborator(_ context.Context, ref keys.CollaboratorRef) (*entry, error) {
	return r.collaborators[ref], r.failsCollaborator
}

func (*registry) Standing(e *entry) keys.Standing { return e.standing }

// facts are those of a request that comes from an address, and names a resource.
type facts struct{ address, model string }

func (f *facts) Address() netip.Addr { a, _ := netip.ParseAddr(f.address); return a }

func (f *facts) Beyond(v policy.Values) string {
	if v.Permit("model", f.model) {
		return ""
	}
	return "model"
}

// bounded is a key for one model from one network.
func bounded() *entry {
	e := holder(policy.AppKey, "alice", "shop", keys.Active, "Items:Get")
	e.caller.Resources = policy.Values{"model": {"small*"}}
	e.caller.Addresses = policy.Addresses{netip.MustParsePrefix("192.0.2.0/24")}
	return e
}

func digest(name string) credential.Digest { return credential.DigestOf(name) }

func holder(kind policy.Kind, user, app string, standing keys.Standing, scopes ...string) *entry {
	return &entry{policy.Caller{Kind: kind, UserID: user, AppID: app, KeyID: "k", Grant: policy.NewGrant(scopes, nil)}, standing}
}

func named(owner, app string) (n policy.Named) {
	var m policy.Mention
	if owner != "" {
		m.AddOwner(owner)
	}
	if app != "" {
		m.AddApp(app)
	}
	n.Take(m)
	return n
}

// Every reason of the steps that need a record, and that the first step that
// refuses is the one that is told.
func TestDecide(t *testing.T) {
	table, err := policy.NewTable([]policy.Route{
		{Method: "GET", Pattern: "/items", Scopes: []string{"Items:Get"}},
		{Method: "POST", Pattern: "/items", Scopes: []string{"Items:Add", "Items:Get"}},
		{Method: "GET", Pattern: "/keys", Scopes: []string{"Keys:Get"}, Accept: []string{"pat"}},
	}, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	ref := func(user string) keys.CollaboratorRef {
		return keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}, UserID: user}
	}
	collaborator := func(scopes ...string) *entry { return holder(0, "", "", keys.Active, scopes...) }
	full := &registry{
		credentials: map[credential.Digest]*entry{
			digest("key"):       holder(policy.AppKey, "alice", "shop", keys.Active, "Items:Get"),
			digest("pat"):       holder(policy.PAT, "alice", "", keys.Active, "All"),
			digest("bob"):       holder(policy.PAT, "bob", "", keys.Active, "All"),
			digest("carol"):     holder(policy.PAT, "carol", "", keys.Active, "All"),
			digest("weak"):      holder(policy.PAT, "bob", "", keys.Active, "Other"),
			digest("session"):   holder(policy.Session, "alice", "", keys.Active, "All"),
			digest("expired"):   holder(policy.PAT, "alice", "", keys.Expired, "All"),
			digest("disabled"):  holder(policy.PAT, "alice", "", keys.Disabled, "All"),
			digest("suspended"): holder(policy.PAT, "alice", "", keys.Suspended, "All"),
			digest("bounded"):   bounded(),
			digest("revoked"):   holder(policy.PAT, "alice", "", keys.Unknown, "All"),
		},
		collaborators: map[keys.CollaboratorRef]*entry{
			ref("bob"):         collaborator("Items:Get"),
			ref(keys.Everyone): collaborator("Items:Get", "Items:Add"),
		},
	}
	only := func(users ...string) *registry {
		r := &registry{credentials: full.credentials, collaborators: map[keys.CollaboratorRef]*entry{}}
		for _, user := range users {
			r.collaborators[ref(user)] = full.collaborators[ref(user)]
		}
		return r
	}
	broken := errors.New("no answer")
	for _, row := range []struct {
		name        string
		from        *registry
		credential  string
		sessionOnly bool
		method      string
		path        string
		named       policy.Named
		facts       *facts
		want        authz.Reason
		lack, allow []string
	}{
		{name: "allowed", credential: "key", want: authz.Allowed},
		{name: "her own app, named", credential: "key", named: named("alice", "shop"), want: authz.Allowed},
		{name: "unknown", credential: "nobody's", want: authz.CredentialUnknown},
		{name: "revoked", credential: "revoked", want: authz.CredentialUnknown},
		{name: "expired", credential: "expired", want: authz.Expired},
		{name: "disabled", credential: "disabled", want: authz.Disabled},
		{name: "suspended", credential: "suspended", want: authz.Suspended},
		{name: "the store fails", from: &registry{failsFind: broken}, credential: "key", want: authz.StoreUnavailable},
		{name: "a key where only sessions may stand", credential: "key", sessionOnly: true, want: authz.CredentialUnknown},
		{name: "a session where only sessions may stand", credential: "session", sessionOnly: true, want: authz.Allowed},
		{name: "no route", credential: "key", path: "/nothing", want: authz.RouteUnknown},
		{name: "no route, and not good", credential: "expired", path: "/nothing", want: authz.Expired},
		{name: "another method", credential: "key", method: "PUT", want: authz.MethodNotAllowed, allow: []string{"GET", "HEAD", "POST"}},
		{name: "the kind", credential: "key", path: "/keys", want: authz.Kind},
		{name: "another app of a key", credential: "key", named: named("alice", "other"), want: authz.Owner},
		{name: "another owner", credential: "key", named: named("bob", ""), want: authz.Owner},
		{name: "names that don't agree", credential: "pat", named: policy.Named{Owner: "alice", Conflict: true}, want: authz.Owner},
		{name: "an app that can't be one", credential: "pat", named: named("alice", "a/b"), want: authz.Owner},
		{name: "ownership before scopes", credential: "weak", named: named("carol", ""), want: authz.Owner},
		{name: "a scope", credential: "key", method: "POST", want: authz.Scopes, lack: []string{"Items:Add"}},
		{name: "a resource and an address of the key", credential: "bounded", facts: &facts{"192.0.2.1", "small-1"}, want: authz.Allowed},
		{name: "no facts", credential: "bounded", want: authz.Allowed},
		{name: "another resource", credential: "bounded", facts: &facts{"192.0.2.1", "big"}, want: authz.Resource},
		{name: "a resource before scopes", credential: "bounded", method: "POST", facts: &facts{"192.0.2.1", "big"}, want: authz.Resource},
		{name: "ownership before a resource", credential: "bounded", named: named("bob", ""), facts: &facts{"192.0.2.1", "big"}, want: authz.Owner},
		{name: "another address", credential: "bounded", facts: &facts{"198.51.100.1", "small"}, want: authz.Address},
		{name: "an unknown address", credential: "bounded", facts: &facts{"", "small"}, want: authz.Address},
		{name: "scopes before an address", credential: "bounded", method: "POST", facts: &facts{"", "small"}, want: authz.Scopes, lack: []string{"Items:Add"}},
		{name: "facts that don't matter", credential: "key", facts: &facts{"", "big"}, want: authz.Allowed},
		{name: "no collaborator", from: only(), credential: "bob", named: named("alice", "shop"), want: authz.Owner},
		{name: "a collaborator", from: only("bob"), credential: "bob", named: named("alice", "shop"), want: authz.Allowed},
		{name: "a collaborator who lacks a scope", from: only("bob"), credential: "bob", method: "POST", named: named("alice", "shop"), want: authz.Scopes, lack: []string{"Items:Add"}},
		{name: "a collaborator, by what everyone has", credential: "bob", method: "POST", named: named("alice", "shop"), want: authz.Allowed},
		{name: "everyone", credential: "carol", named: named("alice", "shop"), want: authz.Allowed},
		{name: "a credential that has less than its holder's record", credential: "weak", named: named("alice", "shop"), want: authz.Scopes, lack: []string{"Items:Get"}},
		{name: "the collaborators can't be read", from: &registry{credentials: full.credentials, failsCollaborator: broken}, credential: "bob", named: named("alice", "shop"), want: authz.StoreUnavailable},
	} {
		t.Run(row.name, func(t *testing.T) {
			from := row.from
			if from == nil {
				from = full
			}
			q := &authz.Question{Digest: digest(row.credential), SessionOnly: row.sessionOnly, Method: "GET", Path: "/items", Table: table, Named: row.named}
			if row.method != "" {
				q.Method = row.method
			}
			if row.path != "" {
				q.Path = row.path
			}
			if row.facts != nil {
				q.Facts = row.facts
			}
			q.Rule = table.Find(q.Method, false, q.Path)
			v := authz.Decide[*entry](t.Context(), from, q)
			if v.Reason != row.want || !slices.Equal(v.Lack.Scopes, row.lack) || !slices.Equal(v.Allow, row.allow) {
				t.Errorf("decided %+v", v)
			}
			if v.Refused() != (row.want != authz.Allowed) || (v.Err != nil) != (row.want == authz.StoreUnavailable) {
				t.Errorf("refused: %v, with %v", v.Refused(), v.Err)
			}
			if known := row.want.Step() > authz.StepKnown || from.failsCollaborator != nil; v.Known != known {
				t.Errorf("the credential is good: %v", v.Known)
			}
		})
	}
}
