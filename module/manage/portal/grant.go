package portal

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// all is the scope that grants all others.
const all = "All"

// catalogue lists what can be selected.
type catalogue struct {
	Groups    []group
	Endpoints []string
	needs     map[string][]string
}

// group is the scopes of one resource.
type group struct {
	Resource string
	Scopes   []manage.Scope
}

// catalogue reads the catalogue from the API.
func (v *visit) catalogue() (*catalogue, error) {
	a, err := v.get(mine("scopes"))
	if err != nil {
		return nil, err
	}
	c := &catalogue{needs: map[string][]string{}, Endpoints: a.Endpoints}
	groups := map[string][]manage.Scope{}
	for _, s := range a.Scopes {
		resource, _, _ := strings.Cut(s.Scope, ":")
		if s.Scope == resource {
			resource = "" // an action without a resource
		}
		groups[resource] = append(groups[resource], s)
		c.needs[s.Scope] = s.DependingScopes
	}
	for _, resource := range slices.Sorted(maps.Keys(groups)) {
		c.Groups = append(c.Groups, group{resource, groups[resource]})
	}
	return c, nil
}

// Needs returns the scopes that a scope needs directly, for the script.
func (c *catalogue) Needs(scope string) string { return strings.Join(c.needs[scope], " ") }

// preset selects several scopes with one click.
type preset struct{ Name, Label string }

// Presets returns the presets that fit the catalogue.
func (c *catalogue) Presets() []preset {
	list := []preset{{"all", "Everything"}, {"read", "Read only"}}
	if _, ok := c.needs["Predict"]; ok {
		list = append(list, preset{"predict", "Predict only"})
	}
	return append(list, preset{"none", "Nothing"})
}

// Preset returns the scopes of a preset, including those that they need.
func (c *catalogue) Preset(name string) (scopes []string) {
	switch name {
	case "all":
		return []string{all}
	case "read":
		for scope := range c.needs {
			if _, verb, ok := strings.Cut(scope, ":"); ok && verbs[verb] == "read" {
				scopes = append(scopes, scope)
			}
		}
	case "predict":
		scopes = []string{"Predict"}
	}
	added := c.complete(scopes)
	for _, a := range added {
		scopes = append(scopes, a.Scope)
	}
	slices.Sort(scopes)
	return scopes
}

// addition is a scope that was selected because another needs it.
type addition struct{ Scope, NeededBy string }

// complete lists the further scopes that the selected ones need, each with the
// scope that needs it.
func (c *catalogue) complete(selected []string) (added []addition) {
	if slices.Contains(selected, all) {
		return nil
	}
	seen := map[string]bool{}
	for _, s := range selected {
		seen[s] = true
	}
	for queue := slices.Clone(selected); len(queue) > 0; queue = queue[1:] {
		for _, need := range c.needs[queue[0]] {
			if !seen[need] {
				seen[need] = true
				added = append(added, addition{need, queue[0]})
				queue = append(queue, need)
			}
		}
	}
	return added
}

// verbs translates the second parts of scopes.
var verbs = map[string]string{
	"Get": "read", "List": "read", "Read": "read", "Search": "search",
	"Add": "write", "Create": "write", "Write": "write", "Update": "write",
	"Delete": "delete", "Train": "train",
}

// inWords describes what scopes permit, and what they don't permit on the same
// resources.
func (c *catalogue) inWords(scopes []string, where string) (may, mayNot string) {
	if slices.Contains(scopes, all) {
		return "It may do everything " + where + ".", ""
	}
	granted, refused := map[string][]string{}, map[string][]string{}
	touched := map[string]bool{}
	for _, s := range scopes {
		resource, _, _ := strings.Cut(s, ":")
		touched[resource] = true
	}
	var does []string
	for _, s := range slices.Sorted(maps.Keys(c.needs)) {
		has := slices.Contains(scopes, s)
		resource, verb, ok := strings.Cut(s, ":")
		switch word := verbs[verb]; {
		case !ok && has && s != all:
			does = append(does, spaced(s))
		case !ok:
		case has:
			granted[orSelf(word, verb)] = append(granted[orSelf(word, verb)], spaced(resource))
		case touched[resource]:
			refused[orSelf(word, verb)] = append(refused[orSelf(word, verb)], spaced(resource))
		}
	}
	phrases := slices.Concat(does, phrasesOf(granted))
	if len(phrases) == 0 {
		return "It may only make calls that need no scope " + where + ".", "It can't read or change anything."
	}
	may = "It may " + listed(phrases) + " " + where + "."
	if not := refusalsOf(refused); len(not) > 0 {
		return may, "It can't " + strings.Join(not, ", ") + ", or do anything else."
	}
	return may, "It can't do anything else."
}

// phrasesOf makes phrases such as "read inputs and models", from the resources by
// verb.
func phrasesOf(by map[string][]string) (list []string) {
	for _, verb := range ordered(by) {
		list = append(list, verb+" "+listed(by[verb]))
	}
	return list
}

// refusalsOf makes phrases such as "write or delete inputs", from the resources by
// verb. It joins verbs with the same resources.
func refusalsOf(by map[string][]string) (list []string) {
	verbsOf := map[string][]string{}
	var order []string
	for _, verb := range ordered(by) {
		resources := either(by[verb])
		if verbsOf[resources] == nil {
			order = append(order, resources)
		}
		verbsOf[resources] = append(verbsOf[resources], verb)
	}
	for _, resources := range order {
		list = append(list, either(verbsOf[resources])+" "+resources)
	}
	return list
}

// ordered returns the verbs of a map in the order of a sentence.
func ordered(by map[string][]string) (verbs []string) {
	for _, verb := range slices.Concat([]string{"read", "search", "write", "train", "delete"}, slices.Sorted(maps.Keys(by))) {
		if _, ok := by[verb]; ok && !slices.Contains(verbs, verb) {
			verbs = append(verbs, verb)
		}
	}
	return verbs
}

func orSelf(word, verb string) string {
	if word == "" {
		return strings.ToLower(verb)
	}
	return word
}

// listed returns a list such as "a, b and c".
func listed(list []string) string { return joined(list, " and ") }

// either returns a list such as "a, b or c".
func either(list []string) string { return joined(list, " or ") }

func joined(list []string, last string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + last + list[len(list)-1]
}

// spaced returns a name such as ComputeClusters in words.
func spaced(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
