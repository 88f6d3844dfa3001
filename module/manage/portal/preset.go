package portal

import (
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// preset selects what a task needs with one click. Where scopes alone would permit
// more than the task, it is limited to endpoints.
type preset struct {
	Name, Label, Description string
	Scopes, Endpoints        []string
}

// The names of presets, and of the button that takes the selected operations.
const (
	presetAll        = "all"
	presetRead       = "read"
	presetPredict    = "predict"
	presetNone       = "none"
	presetOperations = "operations"
)

// scopePredict is the scope of Clarifai's predictions.
const scopePredict = "Predict"

// Presets returns the presets that fit the catalogue and the tables.
func (c *catalogue) Presets() []preset {
	list := []preset{
		{Name: presetAll, Label: "Full access", Description: "Every operation, those of later versions too.", Scopes: []string{all}},
	}
	if p := c.presetOf(func(o *authz.Operation) bool { return o.Reads }); len(p.Scopes) > 0 {
		p.Name, p.Label, p.Description = presetRead, "Read only", "Every operation that changes nothing."
		list = append(list, p)
	}
	if p, ok := c.predictions(); ok {
		list = append(list, p)
	}
	return append(list, preset{Name: presetNone, Label: "Custom", Description: "Nothing is selected. Choose below."})
}

// Preset returns the preset with a name. It is empty if the name is unknown.
func (c *catalogue) Preset(name string) preset {
	for _, p := range c.Presets() {
		if p.Name == name {
			return p
		}
	}
	return preset{}
}

// predictions is the preset for the operations that need Predict and otherwise only
// scopes that read. With the same scopes it can read what predictions are about.
func (c *catalogue) predictions() (preset, bool) {
	predicts := func(o *authz.Operation) bool {
		return !o.Reads && slices.Contains(o.Scopes, scopePredict) &&
			!slices.ContainsFunc(o.Scopes, func(s string) bool { return s != scopePredict && !readingScope(s) })
	}
	least := c.presetOf(predicts)
	if len(least.Scopes) == 0 {
		return preset{}, false
	}
	p := c.presetOf(func(o *authz.Operation) bool {
		return predicts(o) || o.Reads && len(o.Scopes) > 0 && containsAll(least.Scopes, o.Scopes)
	})
	p.Name, p.Label = presetPredict, "Predict"
	p.Description = "Everything that predictions of models and workflows need. It changes nothing."
	return p, true
}

// presetOf selects the operations that are wanted, by the fewest scopes. If these
// scopes permit other operations too, it is limited to the endpoints of those that
// are wanted.
func (c *catalogue) presetOf(want func(*authz.Operation) bool) (p preset) {
	var wanted []*authz.Operation
	for _, d := range c.full.Callable(c.sites).Calls {
		if d.Reason == authz.Allowed && want(d.Operation) && c.offers(d.Operation.Scopes) {
			wanted = append(wanted, d.Operation)
		}
	}
	p.Scopes = c.least(wanted)
	h := *c.full
	h.Caller.Grant = policy.NewGrant(p.Scopes, nil)
	tooMuch := func(d authz.Decided) bool { return d.Reason == authz.Allowed && !want(d.Operation) }
	if slices.ContainsFunc(h.Callable(c.sites).Calls, tooMuch) {
		p.Endpoints = endpointsOf(wanted)
	}
	return p
}

// least returns the fewest scopes that permit the operations, with the scopes that
// those need.
func (c *catalogue) least(operations []*authz.Operation) (scopes []string) {
	for _, o := range operations {
		scopes = append(scopes, o.Scopes...)
	}
	return c.completed(scopes)
}

// completed returns scopes with those that they need, sorted.
func (c *catalogue) completed(scopes []string) []string {
	scopes = slices.Clone(scopes)
	for _, a := range c.complete(scopes) {
		scopes = append(scopes, a.Scope)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// lackingOf returns scopes that a key with others lacks, with those that they need.
func (c *catalogue) lackingOf(has, scopes []string) []string {
	var lacking []string
	for _, s := range c.completed(slices.Concat(has, scopes)) {
		if !slices.Contains(has, s) {
			lacking = append(lacking, s)
		}
	}
	return lacking
}

// offers reports whether the form offers all of the scopes. It doesn't offer hidden
// ones.
func (c *catalogue) offers(scopes []string) bool {
	return !slices.ContainsFunc(scopes, func(s string) bool { _, ok := c.needs[s]; return !ok })
}

func endpointsOf(operations []*authz.Operation) (names []string) {
	for _, o := range operations {
		names = append(names, o.Endpoint...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func containsAll(list, part []string) bool {
	return !slices.ContainsFunc(part, func(s string) bool { return !slices.Contains(list, s) })
}

// readingScope reports whether a scope only permits reading, by its name.
func readingScope(name string) bool {
	_, verb, ok := strings.Cut(name, ":")
	return ok && (verb == "Get" || verb == "List" || verb == "Read")
}
