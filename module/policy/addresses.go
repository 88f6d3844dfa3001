package policy

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Addresses are networks from which a credential may be used, such as
// 192.0.2.0/24. Nil permits any address. A list that is empty but not nil permits
// none.
type Addresses []netip.Prefix

// MaxAddresses is how many networks one list has at most.
const MaxAddresses = 100

// ParseAddresses reads networks and single addresses. The result is sorted and has
// no duplicates. IPv4-mapped IPv6 networks become IPv4 networks. Bits beyond the
// prefix are an error.
func ParseAddresses(list []string) (Addresses, error) {
	if list == nil {
		return nil, nil
	}
	if len(list) > MaxAddresses {
		return nil, fmt.Errorf("%d networks, more than %d", len(list), MaxAddresses)
	}
	all := make(Addresses, 0, len(list))
	for _, text := range list {
		p, err := parseNetwork(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all), nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	wrong := fmt.Errorf("%q is not a network or an address: write one such as 192.0.2.0/24, 2001:db8::/32 or 192.0.2.7", text)
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, wrong
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, wrong
	}
	if a := p.Addr(); a.Is4In6() {
		const mapped = 96 // bits in front of the IPv4 address (RFC 4291, section 2.5.5.2)
		if p.Bits() < mapped {
			return netip.Prefix{}, wrong
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-mapped)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits beyond its prefix: write %s", text, p.Masked())
	}
	return p, nil
}

// MarshalJSON writes the list of [Addresses.Texts], and null for any address.
func (a Addresses) MarshalJSON() ([]byte, error) { return json.Marshal(a.Texts()) }

// UnmarshalJSON reads like [ParseAddresses].
func (a *Addresses) UnmarshalJSON(text []byte) (err error) {
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	*a, err = ParseAddresses(list)
	return err
}

// Contains reports whether requests may come from an address. The zero Addr stands
// for an unknown address, which is in no list.
func (a Addresses) Contains(address netip.Addr) bool {
	if a == nil {
		return true
	}
	address = address.Unmap().WithZone("")
	for _, p := range a {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

// Within reports whether every network is part of one of the others.
func (a Addresses) Within(o Addresses) bool {
	if o == nil {
		return true
	}
	if a == nil {
		return false
	}
	return !slices.ContainsFunc(a, func(p netip.Prefix) bool { return !o.covers(p) })
}

func (a Addresses) covers(p netip.Prefix) bool {
	return slices.ContainsFunc(a, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) })
}

// And returns the networks that are part of both lists.
func (a Addresses) And(o Addresses) Addresses {
	switch {
	case a == nil:
		return o
	case o == nil:
		return a
	}
	both := Addresses{}
	for _, p := range a {
		if o.covers(p) {
			both = append(both, p)
		}
	}
	for _, p := range o {
		if a.covers(p) {
			both = append(both, p)
		}
	}
	slices.SortFunc(both, netip.Prefix.Compare)
	return slices.Compact(both)
}

// Texts returns the texts that [ParseAddresses] reads. A single address is
// without its prefix.
func (a Addresses) Texts() []string {
	if a == nil {
		return nil
	}
	list := make([]string, len(a))
	for i, p := range a {
		list[i] = p.String()
		if p.IsSingleIP() {
			list[i] = p.Addr().String()
		}
	}
	return list
}
