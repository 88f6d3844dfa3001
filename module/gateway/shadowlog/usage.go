package shadowlog

import (
	"io"
	"maps"
	"slices"
)

// Usage is what a log of shadow mode shows of keys.
type Usage struct {
	// Keys are those that were known, by key ID.
	Keys []KeyUsage `json:"keys"`
	// Public counts requests of public routes, Unknown those without a
	// credential that is known. Others are lines that are no decisions.
	Public  int `json:"public"`
	Unknown int `json:"unknown"`
	Others  int `json:"other_lines"`
}

// KeyUsage is what one key was used for, and so what it needs to be granted.
type KeyUsage struct {
	KeyID   string `json:"key_id"`
	KeyType string `json:"key_type"`
	UserID  string `json:"user_id"`
	// Allowed counts requests that were permitted. Lacking counts those that
	// more scopes or endpoints would have permitted, Refused those that they
	// would not.
	Allowed int `json:"allowed"`
	Lacking int `json:"lacking"`
	Refused int `json:"refused"`
	// Scopes and Endpoints are those that were used: needed, and granted.
	Scopes    []string `json:"scopes"`
	Endpoints []string `json:"endpoints"`
	// MissingScopes and MissingEndpoints were needed, and not granted.
	MissingScopes    []string `json:"missing_scopes,omitempty"`
	MissingEndpoints []string `json:"missing_endpoints,omitempty"`
	// NoEndpoint is true if routes without an endpoint were used, which no key
	// limited to endpoints may call.
	NoEndpoint bool `json:"no_endpoint,omitempty"`
	// Needs are further scopes that have to be granted together with those
	// above; known where the catalogue is.
	Needs []string `json:"needs,omitempty"`
}

// UsageOf reads a log of shadow mode, as [Read].
func UsageOf(log io.Reader) (*Usage, error) {
	u := &Usage{Keys: []KeyUsage{}}
	seen := map[string]*keyUse{}
	var err error
	u.Others, err = Read(log, func(d *Decision) {
		switch {
		case d.Decision == Public:
			u.Public++
		case d.KeyID == "":
			u.Unknown++
		default:
			k := seen[d.KeyID]
			if k == nil {
				k = newKeyUse(d)
				seen[d.KeyID] = k
			}
			k.take(d)
		}
	})
	for _, id := range slices.Sorted(maps.Keys(seen)) {
		u.Keys = append(u.Keys, seen[id].sum())
	}
	return u, err
}

// keyUse gathers one key's use.
type keyUse struct {
	KeyUsage
	scopes, endpoints               map[string]bool
	missingScopes, missingEndpoints map[string]bool
}

func newKeyUse(d *Decision) *keyUse {
	return &keyUse{
		KeyUsage: KeyUsage{KeyID: d.KeyID, KeyType: d.KeyType, UserID: d.UserID},
		scopes:   map[string]bool{}, endpoints: map[string]bool{},
		missingScopes: map[string]bool{}, missingEndpoints: map[string]bool{},
	}
}

func (k *keyUse) take(d *Decision) {
	lacks := len(d.MissingScopes) > 0 || len(d.MissingEndpoints) > 0 || d.NoEndpoint
	switch {
	case d.Decision == Allow:
		k.Allowed++
	case d.Decision == Refuse && lacks:
		k.Lacking++
	case d.Decision == Refuse:
		// Whatever it needed, more wouldn't have helped.
		k.Refused++
		return
	default: // the end of a request that was counted when it began
		return
	}
	add(k.scopes, d.Scopes, d.MissingScopes)
	add(k.endpoints, d.Endpoints, d.MissingEndpoints)
	add(k.missingScopes, d.MissingScopes, nil)
	add(k.missingEndpoints, d.MissingEndpoints, nil)
	k.NoEndpoint = k.NoEndpoint || len(d.Endpoints) == 0
}

// add adds the names but those that are missing.
func add(to map[string]bool, names, missing []string) {
	for _, name := range names {
		if !slices.Contains(missing, name) {
			to[name] = true
		}
	}
}

func (k *keyUse) sum() KeyUsage {
	k.Scopes = append([]string{}, slices.Sorted(maps.Keys(k.scopes))...)
	k.Endpoints = append([]string{}, slices.Sorted(maps.Keys(k.endpoints))...)
	k.MissingScopes = slices.Sorted(maps.Keys(k.missingScopes))
	k.MissingEndpoints = slices.Sorted(maps.Keys(k.missingEndpoints))
	return k.KeyUsage
}
