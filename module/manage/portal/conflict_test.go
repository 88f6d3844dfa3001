package portal

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

var conflictRows = regexp.MustCompile(`(?s)<th scope="row" data-label="Field"><span>(\w+).*?</tr>`)

// A form whose record was changed meanwhile comes back with what was typed, with the
// differences, and with the new version, so that it can be saved over it.
func TestConflictsShowTheDifference(t *testing.T) {
	for path, c := range map[string]struct {
		field, step, theirs string
		form                url.Values
		rows                map[string][2]string
	}{
		"/keys/cak_1/change": {
			"keys[0].version", ` name="step" value="done"`, "/keys/cak_1",
			url.Values{"description": {"typed"}, "expires": {"never"}, "scope": {"Inputs:Get", "Inputs:Add"}, "endpoint": {"/clarifai.api.V2/ListInputs"}},
			map[string][2]string{"Description": {"typed", "one"}, "Scopes": {"Inputs:Add, Inputs:Get", "none"}, "Endpoints": {"/clarifai.api.V2/ListInputs", "all"}},
		},
		"/apps/shop/collaborators/of/bob": {
			"collaborators[0].version", "", "/apps/shop/collaborators/of/bob",
			url.Values{"scope": {"Inputs:Get", "Models:Get"}},
			map[string][2]string{"Scopes": {"Models:Get", "Inputs:Add"}},
		},
		"/apps/shop/settings": {
			"app.version", "", "/apps/shop/settings",
			url.Values{"name": {"Typed"}}, map[string][2]string{"Name": {"Typed", "Shop"}},
		},
	} {
		s := newTestPortal(t)
		s.refuse = &manage.Status{Code: manage.CodeConflict, Field: c.field, Details: "it is 9 by now"}
		c.form.Set("version", "3")
		c.form.Set("step", "done")
		status, _, text := s.send(path, c.form)
		if status != http.StatusConflict || !strings.Contains(text, `name="version" value="0"`) || len(s.changed) != 1 {
			t.Errorf("%s: %d after %v: %s", path, status, s.changed, text)
		}
		rows := conflictRows.FindAllStringSubmatch(text, -1)
		if len(rows) != len(c.rows) {
			t.Errorf("%s: the differences are %q", path, rows)
		}
		for _, row := range rows {
			for i, label := range []string{"Yours", "Now saved"} {
				want := `data-label="` + label + `" class="long"><span>` + c.rows[row[1]][i] + `</span>`
				if !strings.Contains(row[0], want) {
					t.Errorf("%s: no %s in %s", path, want, row[0])
				}
			}
		}
		for _, want := range []string{"<button" + c.step + ">Save mine over it</button>", `href="/portal` + c.theirs + `">Take theirs</a>`} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s in %s", path, want, text)
			}
		}
		if strings.Contains(text, "Open the form again") {
			t.Errorf("%s asks to fill in the form again", path)
		}
	}
}

// Equal lists in another order don't differ, and the empty list of endpoints means all.
func TestListsAreCompared(t *testing.T) {
	for name, c := range map[string]struct {
		yours, saved []string
		want         string
	}{
		"another order": {[]string{"a", "b"}, []string{"b", "a"}, ""},
		"both empty":    {nil, []string{}, ""},
		"all and one":   {nil, []string{"a"}, "all | [a]"},
		"one more":      {[]string{"a", "b"}, []string{"a"}, "[b] | nothing else"},
		"others":        {[]string{"a", "c"}, []string{"a", "b"}, "[c] | [b]"},
	} {
		var got conflict
		got.list("Endpoints", "all", c.yours, c.saved)
		said := ""
		for _, d := range got.Differences {
			said = d.Yours.String() + " | " + d.Saved.String()
		}
		if said != c.want {
			t.Errorf("%s: %q, want %q", name, said, c.want)
		}
	}
}

// String returns what the page shows.
func (s side) String() string {
	if len(s.Only) > 0 {
		return "[" + strings.Join(s.Only, " ") + "]"
	}
	return s.Text
}
