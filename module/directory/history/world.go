package history

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The names that all histories use.
var (
	shop   = keys.AppRef{OwnerID: "alice", AppID: "shop"}
	blog   = keys.AppRef{OwnerID: "alice", AppID: "blog"}
	ceshop = keys.AppRef{OwnerID: "ali", AppID: "ceshop"}

	// bob as a collaborator on shop and on ceshop spells the same.
	collaborators = []keys.CollaboratorRef{
		{AppRef: shop, UserID: "bob"},
		{AppRef: shop, UserID: keys.Everyone},
		{AppRef: ceshop, UserID: "bob"},
		{AppRef: blog, UserID: "bob"},
		{AppRef: blog, UserID: keys.Everyone},
	}
)

// slot is a register that a credential has or may come to have.
type slot struct {
	kind   policy.Kind
	user   string
	app    string
	digest credential.Digest
	id     string
	// first is true if it exists before the history begins.
	first bool
}

// newSlots mints the credentials of a history. Each kind has more than are
// there at first, for some to be created and rotated to.
func newSlots() []slot {
	slots := []slot{
		{kind: policy.AppKey, user: shop.OwnerID, app: shop.AppID, first: true},
		{kind: policy.AppKey, user: shop.OwnerID, app: shop.AppID, first: true},
		{kind: policy.AppKey, user: shop.OwnerID, app: shop.AppID},
		{kind: policy.AppKey, user: shop.OwnerID, app: shop.AppID},
		{kind: policy.AppKey, user: blog.OwnerID, app: blog.AppID, first: true},
		{kind: policy.AppKey, user: blog.OwnerID, app: blog.AppID},
		{kind: policy.PAT, user: "alice", first: true},
		{kind: policy.PAT, user: "alice"},
		{kind: policy.PAT, user: "bob", first: true},
		{kind: policy.PAT, user: "bob", first: true},
		{kind: policy.PAT, user: "bob"},
		{kind: policy.PAT, user: "bob"},
	}
	for i := range slots {
		text, id := credential.Mint(credential.DefaultBrand, slots[i].kind)
		slots[i].digest, slots[i].id = credential.DigestOf(text), id
	}
	return slots
}

func (s *slot) credential() keys.Credential {
	return keys.Credential{Digest: s.digest, ID: s.id, Kind: s.kind, UserID: s.user, AppID: s.app}
}

// The scopes and endpoints of grants and routes. Some routes need a scope and
// have no endpoint, others need an endpoint and no scope.
var (
	scopes    = []string{"H:A", "H:B", "H:C", "H:D", "H:E", "H:F"}
	endpoints = []string{"/h.H/A", "/h.H/B", "/h.H/C"}
	probes    = newProbes()
)

func newProbes() (rules []*policy.Rule) {
	var routes []policy.Route
	for i, s := range scopes {
		routes = append(routes, policy.Route{Method: "GET", Pattern: fmt.Sprintf("/s%d", i), Scopes: []string{s}})
	}
	for i, e := range endpoints {
		routes = append(routes, policy.Route{Method: "GET", Pattern: fmt.Sprintf("/e%d", i), Endpoint: []string{e}})
	}
	table, err := policy.NewTable(routes, "", "")
	if err != nil {
		panic(err)
	}
	for _, r := range routes {
		rules = append(rules, table.Find(r.Method, false, r.Pattern))
	}
	return rules
}

// permitsOf asks a grant.
func permitsOf(g *policy.Grant) (permits uint32) {
	for i, r := range probes {
		if g.Permits(r) {
			permits |= 1 << i
		}
	}
	return permits
}

// permitsBy says by the lists what a grant made of them permits.
func permitsBy(haveScopes, haveEndpoints []string) (permits uint32) {
	for i, s := range scopes {
		if slices.Contains(haveScopes, s) && haveEndpoints == nil {
			permits |= 1 << i
		}
	}
	for i, e := range endpoints {
		if haveEndpoints == nil || slices.Contains(haveEndpoints, e) {
			permits |= 1 << (len(scopes) + i)
		}
	}
	return permits
}

// randomGrant makes lists of scopes and endpoints; endpoints are nil mostly.
func randomGrant(r *rand.Rand) (someScopes, someEndpoints []string) {
	for _, s := range scopes {
		if r.IntN(2) == 0 {
			someScopes = append(someScopes, s)
		}
	}
	if r.IntN(3) == 0 {
		n := r.IntN(len(endpoints))
		someEndpoints = endpoints[n : n+1]
	}
	return someScopes, someEndpoints
}

// stored is what the store holds of a register: the truth, by the records
// alone.
func (h *run) stored(r keys.Reader, register int) (State, error) {
	if register >= len(h.slots) {
		c, err := r.Collaborator(collaborators[register-len(h.slots)])
		if errors.Is(err, keys.ErrNotFound) {
			return State{}, nil
		}
		return State{Standing: keys.Active, Permits: permitsBy(c.Scopes, c.Endpoints)}, err
	}
	digest := h.slots[register].digest
	if _, err := r.Tombstone(digest); !errors.Is(err, keys.ErrNotFound) {
		return State{}, err
	}
	c, err := r.Credential(digest)
	if errors.Is(err, keys.ErrNotFound) {
		return State{}, nil
	}
	if err != nil {
		return State{}, err
	}
	u, err := r.User(c.UserID)
	if err != nil {
		return State{}, err
	}
	s := State{
		Standing: keys.Active, Kind: c.Kind, UserID: c.UserID, KeyID: c.ID, AppID: c.AppID,
		Permits: permitsBy(c.Scopes, c.Endpoints),
	}
	switch {
	case u.Suspended:
		s.Standing = keys.Suspended
	case c.Disabled:
		s.Standing = keys.Disabled
	}
	if !c.ExpiresAt.IsZero() {
		s.Expires = c.ExpiresAt.UnixNano()
	}
	return s, nil
}

// told is what an entry says of a register. standing is the directory's word.
func (h *run) told(register int, e *directory.Entry, standing keys.Standing) (s State, expired bool) {
	if !e.Exists() {
		return State{}, false
	}
	if expired = standing == keys.Expired; expired {
		standing = keys.Active
	}
	s = State{Standing: standing, Permits: permitsOf(e.Grant())}
	if register >= len(h.slots) {
		return s, expired
	}
	c := e.Caller()
	s.Kind, s.UserID, s.KeyID, s.AppID = c.Kind, c.UserID, c.KeyID, c.AppID
	if x := e.Expiry(); !x.IsZero() {
		s.Expires = x.UnixNano()
	}
	return s, expired
}

// clock is what a history gives the directory for a clock.
type clock struct {
	h        *run
	mu       sync.Mutex
	now      time.Time
	settings []Setting
}

// set is called by one goroutine; mu guards what the directory reads.
func (c *clock) set(to time.Time) {
	began := c.h.tick()
	c.mu.Lock()
	c.now = to
	c.mu.Unlock()
	c.settings = append(c.settings, Setting{began, c.h.tick(), to.UnixNano()})
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}
