package importer

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A second reading of Clarifai's sources: plain text and regular expressions,
// with nothing of the importer in it.

type secondMethod struct {
	name, kinds, request string
	scopes               []string
	bindings             []secondBinding
}

type secondBinding struct{ method, template, body string }

type secondDemand struct {
	scopes, endpoints []string
	kinds             string
}

var (
	comments   = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	rpcName    = regexp.MustCompile(`^\w+`)
	rpcRequest = regexp.MustCompile(`^\w+\s*\(\s*(?:stream\s+)?(\w+)\s*\)`)
	rpcBinding = regexp.MustCompile(`\b(get|put|post|delete|patch)\s*:\s*"([^"]*)"(?:\s*body\s*:\s*"([^"]*)")?`)
	rpcScope   = regexp.MustCompile(`cl_depending_scopes\)\s*=\s*(\w+)`)
	rpcAuth    = regexp.MustCompile(`cl_auth_type\)\s*=\s*(\w+)`)
	variable   = regexp.MustCompile(`\{([^}]*)\}`)
	enumValue  = regexp.MustCompile(`(?s)\b(\w+)\s*=\s*(\d+)\s*(\[.*?\])?\s*;`)
	// The beginning or the end of a block, or a field, map or not.
	blockOrField = regexp.MustCompile(`(message|oneof|enum)\s+(\w+)\s*\{|\}|\{|(?:(?:repeated|optional)\s+)?(?:map\s*<\s*\w+\s*,\s*([\w.]+)\s*>|([\w.]+))\s+(\w+)\s*=\s*(\d+)\s*[;\[]`)
	enumNeeds    = regexp.MustCompile(`clarifai_depending_scopes\)\s*=\s*(\w+)`)
)

func uncommented(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return comments.ReplaceAllString(string(text), "")
}

// readMethods reads what stands behind each rpc.
func readMethods(t *testing.T, file string) []secondMethod {
	t.Helper()
	_, service, _ := strings.Cut(uncommented(t, file), "service V2 {")
	service, _, _ = strings.Cut(service, "\nmessage ")
	kinds := map[string]string{
		"KeyAuth": "app_key pat session", "PATAuth": "pat session", "SessionTokenAuth": "session", "NoAuth": "public",
	}
	var methods []secondMethod
	for _, text := range regexp.MustCompile(`\brpc\s+`).Split(service, -1)[1:] {
		m := secondMethod{name: rpcName.FindString(text), request: rpcRequest.FindStringSubmatch(text)[1]}
		for _, found := range rpcBinding.FindAllStringSubmatch(text, -1) {
			m.bindings = append(m.bindings, secondBinding{strings.ToUpper(found[1]), found[2], found[3]})
		}
		for _, found := range rpcScope.FindAllStringSubmatch(text, -1) {
			m.scopes = append(m.scopes, strings.Replace(found[1], "_", ":", 1))
		}
		auth := rpcAuth.FindAllStringSubmatch(text, -1)
		if len(auth) != 1 || kinds[auth[0][1]] == "" {
			t.Fatalf("%s: auth types %q", m.name, auth)
		}
		m.kinds = kinds[auth[0][1]]
		methods = append(methods, m)
	}
	return methods
}

// also adds what a method demands.
func (d *secondDemand) also(m secondMethod) {
	d.scopes = append(d.scopes, m.scopes...)
	slices.Sort(d.scopes)
	d.scopes = slices.Compact(d.scopes)
	d.endpoints = append(d.endpoints, "/clarifai.api.V2/"+m.name)
	slices.Sort(d.endpoints)
	d.endpoints = slices.Compact(d.endpoints)
	// No two methods of one shape differ in this; it would be seen.
	if d.kinds != m.kinds {
		d.kinds += " and " + m.kinds
	}
}

// shape is the same for bindings that no request tells apart.
func (b secondBinding) shape() string {
	return b.method + " " + variable.ReplaceAllString(b.template, "{}")
}

// example is a request for the binding, and whom it names.
func (b secondBinding) example() (path, owner, app string) {
	path = variable.ReplaceAllStringFunc(b.template, func(field string) string {
		switch field {
		case "{user_app_id.user_id}":
			owner = "an-owner"
			return owner
		case "{user_app_id.app_id}":
			app = "an-app"
			return app
		}
		return "some-" + strings.Trim(field, "{}")
	})
	return path, owner, app
}

type secondScope struct {
	needs  []string
	hidden bool
}

// readScopes reads the values of enum S.
func readScopes(t *testing.T, file string) map[string]secondScope {
	t.Helper()
	_, enum, _ := strings.Cut(uncommented(t, file), "enum S {")
	enum, _, _ = strings.Cut(enum, "\n}")
	scopes := map[string]secondScope{}
	for _, found := range enumValue.FindAllStringSubmatch(enum, -1) {
		if found[2] == "0" {
			continue
		}
		s := secondScope{hidden: !strings.Contains(found[3], "(clarfai_exposed) = true")}
		for _, need := range enumNeeds.FindAllStringSubmatch(found[3], -1) {
			s.needs = append(s.needs, strings.Replace(need[1], "_", ":", 1))
		}
		slices.Sort(s.needs)
		scopes[strings.Replace(found[1], "_", ":", 1)] = s
	}
	return scopes
}

// secondField is a field whose type may be a message.
type secondField struct{ kind, name, number string }

// readMessages reads the fields of every message in the files, by its name
// with those around it.
func readMessages(t *testing.T, files ...string) map[string][]secondField {
	t.Helper()
	messages := map[string][]secondField{}
	for _, file := range files {
		var around []string // the messages that are open; a block of something else is none
		for _, found := range blockOrField.FindAllStringSubmatch(uncommented(t, file), -1) {
			name := strings.Trim(strings.Join(around, "."), ".")
			switch {
			case found[1] == "message":
				around = append(around, found[2])
			case strings.HasSuffix(found[0], "{"):
				around = append(around, "")
			case found[0] == "}":
				around = around[:len(around)-1]
			case name != "":
				// No value of a map leads to an owner. One that did would be
				// found to differ by its number.
				kind := strings.TrimPrefix(found[3]+found[4], "clarifai.api.")
				messages[name] = append(messages[name], secondField{kind, found[5], found[6]})
			}
		}
	}
	return messages
}

// ownersIn finds the ways to UserAppIDSet in a message, as names and as
// numbers, through no message twice.
func ownersIn(messages map[string][]secondField, message string, through ...string) (ways []string) {
	if message == "UserAppIDSet" {
		return []string{"="}
	}
	if slices.Contains(through, message) {
		return nil
	}
	for _, field := range messages[message] {
		kind := field.kind
		if nested := message + "." + kind; messages[nested] != nil {
			kind = nested
		}
		for _, way := range ownersIn(messages, kind, append(through, message)...) {
			names, numbers, _ := strings.Cut(way, "=")
			ways = append(ways, field.name+"."+names+"="+field.number+"."+numbers)
		}
	}
	return ways
}
