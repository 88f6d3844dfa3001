package portal

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// all is the scope that grants every other.
const all = "All"

// catalogue is what can be ticked.
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

// catalogue asks what can be granted.
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
			resource = "" // no resource, but something that is done
		}
		groups[resource] = append(groups[resource], s)
		c.needs[s.Scope] = s.DependingScopes
	}
	for _, resource := range slices.Sorted(maps.Keys(groups)) {
		c.Groups = append(c.Groups, group{resource, groups[resource]})
	}
	return c, nil
}

// Needs are the scopes that one needs directly, for the script.
func (c *catalogue) Needs(scope string) string { return strings.Join(c.needs[scope], " ") }

// preset is a choice of scopes that is made with one click.
type preset struct{ Name, Label string }

// Presets are those that make sense for what can be granted.
func (c *catalogue) Presets() []preset {
	list := []preset{{"all", "Everything"}, {"read", "Read only"}}
	if _, ok := c.needs["Predict"]; ok {
		list = append(list, preset{"predict", "Predict only"})
	}
	return append(list, preset{"none", "Nothing"})
}

// Preset is what a choice stands for, with what it needs.
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

// addition is a scope that was ticked because another needs it.
type addition struct{ Scope, NeededBy string }

// complete lists the further scopes that the selected ones need, and which of
// them need each.
func (c *catalogue) complete(ticked []string) (added []addition) {
	if slices.Contains(ticked, all) {
		return nil
	}
	seen := map[string]bool{}
	for _, s := range ticked {
		seen[s] = true
	}
	for queue := slices.Clone(ticked); len(queue) > 0; queue = queue[1:] {
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

// verbs are what the second parts of scopes are called in words.
var verbs = map[string]string{
	"Get": "read", "List": "read", "Read": "read", "Search": "search",
	"Add": "write", "Create": "write", "Write": "write", "Update": "write",
	"Delete": "delete", "Train": "train",
}

// inWords says what scopes permit, and what they don't although one might think
// so.
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
		return "It may only call what needs no scope " + where + ".", "It may not read or change anything."
	}
	may = "It may " + listed(phrases) + " " + where + "."
	if not := slices.Concat(phrasesOf(refused), []string{"do anything else"}); len(not) > 1 {
		return may, "It may not " + strings.Join(not[:len(not)-1], "; ") + "; nor " + not[len(not)-1] + "."
	}
	return may, "It may do nothing else."
}

// phrasesOf makes "read inputs and models" of what is done with what.
func phrasesOf(by map[string][]string) (list []string) {
	order := []string{"read", "search", "write", "train", "delete"}
	for _, verb := range slices.Concat(order, slices.Sorted(maps.Keys(by))) {
		if what, ok := by[verb]; ok && !slices.Contains(list, verb+" "+listed(what)) {
			list = append(list, verb+" "+listed(what))
		}
	}
	return list
}

func orSelf(word, verb string) string {
	if word == "" {
		return strings.ToLower(verb)
	}
	return word
}

// listed is a list as it is said: a, b and c.
func listed(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// spaced is a name such as ComputeClusters in words.
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
