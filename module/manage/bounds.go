package manage

import (
	"maps"
	"slices"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// bounds are the plan, limits, addresses and resources that a request gives a key. A
// nil field stays unchanged.
type bounds struct {
	path       string // of the key in the body
	plan       *string
	rate       *policy.Rate
	quota      *policy.Quota
	concurrent *int
	// addresses are texts that [policy.ParseAddresses] reads.
	addresses      []string
	givesAddresses bool
	// resources are lists of values, by the name of the resource.
	resources map[string][]string
}

// newBounds reads the bounds of a new key.
func newBounds(o *object) bounds { return readBounds(o, (*object).texts) }

// changedBounds reads a change to the bounds of a key. Like [object.listed], it
// refuses null instead of a list.
func changedBounds(o *object) bounds {
	if isNull(o.fields["resources"]) {
		o.fail(refuse(CodeInvalid, o.field("resources"), "it has to be an object; leave it out to keep it as it is"))
	}
	return readBounds(o, (*object).listed)
}

// readBounds reads the bounds of a key. It reads each list with the function list.
func readBounds(o *object, list func(o *object, name string, into *[]string) bool) bounds {
	b := bounds{path: o.path}
	b.plan = given(o.text, "plan")
	b.readLimits(o)
	if b.givesAddresses = list(o, "addresses", &b.addresses); b.givesAddresses {
		if _, err := policy.ParseAddresses(b.addresses); err != nil {
			o.fail(refuseValue(o.field("addresses"), err, "one of them is neither a network such as 192.0.2.0/24 or 2001:db8::/32 nor an address, or there are too many"))
		}
	}
	b.readResources(o, list)
	return b
}

// readLimits reads limits. A member that is null removes that limit, and null
// instead of the object removes all of them.
func (b *bounds) readLimits(o *object) {
	if isNull(o.fields["limits"]) {
		b.rate, b.quota, b.concurrent = new(policy.Rate), new(policy.Quota), new(int)
	}
	in := o.inner("limits")
	if in == nil {
		return
	}
	b.rate = readBound(in, "rate", policy.ParseRate, "it is not a rate such as 10/s, 600/m, 3600/h or 10/s burst 20")
	b.quota = readBound(in, "quota", policy.ParseQuota, "it is not a quota such as 1000/day or 10000/month")
	b.concurrent = given(in.concurrent, "concurrent")
	o.endOf(in)
}

// readBound reads a limit that is a text. Null and the empty text are no limit.
// untold is the error that doesn't repeat the text.
func readBound[T any](o *object, name string, parse func(string) (T, error), untold string) *T {
	text := given(o.text, name)
	if text == nil || *text == "" {
		return zeroIf[T](text != nil)
	}
	value, err := parse(*text)
	if err != nil {
		o.fail(refuseValue(o.field(name), err, untold))
	}
	return &value
}

func zeroIf[T any](there bool) *T {
	if !there {
		return nil
	}
	return new(T)
}

// concurrent reads a number of at least 1. Null is 0, which is no limit.
func (o *object) concurrent(name string, into *int) bool {
	const wanted = "a number of at least 1, or null for no limit"
	null := isNull(o.fields[name])
	ok := decode(o, name, wanted, into)
	if ok && !null && *into < 1 {
		o.fail(refuse(CodeInvalid, o.field(name), "it has to be %s", wanted))
	}
	return ok
}

// readResources reads the lists of resources.
func (b *bounds) readResources(o *object, list func(o *object, name string, into *[]string) bool) {
	in := o.inner("resources")
	if in == nil {
		return
	}
	b.resources = map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(in.fields)) {
		var values []string
		if !list(in, name, &values) {
			continue
		}
		if err := (policy.Values{name: values}).Check(); err != nil {
			in.fail(refuseValue(in.field(name), err, "one of them is not a valid name of a resource, or not a valid value, or there are too many"))
		}
		b.resources[name] = values
	}
	o.endOf(in)
}

// refuseValue refuses a value with an error that may repeat the value. untold is the
// error for an import.
func refuseValue(field string, err error, untold string) *Error {
	e := refuse(CodeInvalid, field, "%v", err)
	e.untold = untold
	return e
}

// given reports whether the request gives any of the bounds.
func (b *bounds) given() bool {
	return b.plan != nil || b.rate != nil || b.quota != nil || b.concurrent != nil || b.givesAddresses || len(b.resources) > 0
}

// listed reports whether the request gives a list that needs an action.
func (b *bounds) listed() bool { return b.givesAddresses || len(b.resources) > 0 }

// tells reports whether repeats is true for any text of the bounds.
func (b *bounds) tells(repeats func(string) bool) bool {
	if b.plan != nil && repeats(*b.plan) {
		return true
	}
	for name, values := range b.resources {
		if repeats(name) || slices.ContainsFunc(values, repeats) {
			return true
		}
	}
	return false
}

// changeBounds gives a key the bounds of a request. The key then shares no list with
// the key as it was.
func (a *API) changeBounds(c *keys.Credential, b *bounds, act action) error {
	if act == "" && b.listed() {
		return refuse(CodeInvalid, "action", "it is missing; say what to do with the lists: merge, overwrite or remove")
	}
	if b.plan != nil {
		if err := a.checkPlan(join(b.path, "plan"), *b.plan, c.Plan); err != nil {
			return err
		}
		c.Plan = *b.plan
	}
	set(&c.Limits.Rate, b.rate)
	set(&c.Limits.Quota, b.quota)
	set(&c.Limits.Concurrent, b.concurrent)
	if err := c.Limits.Check(); err != nil {
		return refuseValue(join(b.path, "limits"), err, "one of them is too high")
	}
	if err := changeAddresses(c, b, act); err != nil {
		return err
	}
	return a.changeResources(c, b, act)
}

// checkPlan refuses a plan that the configuration doesn't have, unless the record
// has that plan already. Without a configuration, only the form is checked.
func (a *API) checkPlan(field, name, held string) error {
	switch {
	case name == "" || name == held || a.Plans[name] != nil:
		return nil
	case a.Catalogue == nil:
		if err := policy.CheckPlanName(name); err != nil {
			return refuseValue(field, err, "it is not the name of a plan")
		}
		return nil
	case len(a.Plans) == 0:
		return refuse(CodeInvalid, field, "the configuration has no plans")
	}
	return refuse(CodeInvalid, field, "the configuration has no such plan; it has %s", texts(slices.Sorted(maps.Keys(a.Plans))))
}

// checkResource is like checkPlan for the name of a resource.
func (a *API) checkResource(field, name string, held policy.Values) error {
	if _, has := held[name]; has || a.Catalogue == nil || slices.Contains(a.Resources, name) {
		return nil
	}
	if len(a.Resources) == 0 {
		return refuse(CodeInvalid, field, "no site of the configuration declares a resource")
	}
	return refuse(CodeInvalid, field, "no site of the configuration declares this resource; declared are %s", texts(slices.Sorted(slices.Values(a.Resources))))
}

func changeAddresses(c *keys.Credential, b *bounds, act action) error {
	if !b.givesAddresses {
		return nil
	}
	field := join(b.path, "addresses")
	asked, err := policy.ParseAddresses(b.addresses)
	if err != nil {
		return refuse(CodeInvalid, field, "%v", err)
	}
	list, err := changeBound(field, c.Addresses.Texts(), asked.Texts(), act, overlap)
	if err != nil {
		return err
	}
	if c.Addresses, err = policy.ParseAddresses(list); err != nil {
		return refuseValue(field, err, "there are too many")
	}
	return nil
}

// overlap reports whether two networks, as texts, have an address in common.
func overlap(one, other string) bool {
	a, err := policy.ParseAddresses([]string{one, other})
	return err == nil && (len(a) < 2 || a[0].Overlaps(a[1]))
}

func (a *API) changeResources(c *keys.Credential, b *bounds, act action) error {
	values := c.Resources.Clone()
	for _, name := range slices.Sorted(maps.Keys(b.resources)) {
		field := join(join(b.path, "resources"), name)
		if err := a.checkResource(field, name, c.Resources); err != nil {
			return err
		}
		list, err := changeBound(field, values[name], b.resources[name], act, overlapping)
		switch {
		case err != nil:
			return err
		case list == nil:
			delete(values, name)
		case values == nil:
			values = policy.Values{name: list}
		default:
			values[name] = list
		}
	}
	c.Resources = values.Normal()
	if err := c.Resources.Check(); err != nil {
		return refuseValue(join(b.path, "resources"), err, "there are too many")
	}
	return nil
}

// overlapping reports whether one of two patterns is within the other.
func overlapping(one, other string) bool {
	a, b := policy.Values{"": {one}}, policy.Values{"": {other}}
	return a.Within(b) || b.Within(a)
}

// changeBound changes a list that limits a key. Nil is no list, which permits
// anything. An empty list would leave the key useless. So overwriting with an empty
// list removes the list, and the last element can't be removed. overlap reports
// whether two elements permit something in common. A removal after which the key
// would still permit some of the removed element is refused, because the client would
// believe that all of it is gone.
func changeBound(field string, old, asked []string, act action, overlap func(kept, gone string) bool) ([]string, error) {
	limited := old != nil
	if !limited && act == remove && len(asked) > 0 {
		return nil, refuse(CodeInvalid, field, "the key has no list, which permits anything; overwrite with the list to keep")
	}
	list := act.apply(old, asked)
	switch {
	case len(list) > 0:
	case limited && act == remove:
		return nil, refuse(CodeInvalid, field, "none would be left; to end the use of the key, disable or revoke it, and to permit anything, overwrite with []")
	case limited && act == merge:
		return old, nil
	default:
		return nil, nil
	}
	if act != remove {
		return list, nil
	}
	for _, gone := range asked {
		for _, kept := range list {
			if overlap(kept, gone) {
				return nil, refuse(CodeInvalid, field, "the key would keep %s, which permits some of that; overwrite with the list to keep", kept)
			}
		}
	}
	return list, nil
}
