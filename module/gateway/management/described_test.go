package management

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// described is a site and the admin endpoint, of which every request and every
// answer is held against the description of the API.
type described struct {
	*managed
	t     *testing.T // of the subtest
	doc   *openapi3.T
	admin string
	// seen are the statuses that each operation has answered.
	seen map[string]map[int]bool
}

// byOperator in the place of a credential is a call on the admin endpoint.
const byOperator = "the operator"

func startDescribed(t *testing.T) *described {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../../manage/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := &described{managed: startManaged(t), t: t, doc: doc, admin: machine.FreeAddress(t), seen: map[string]map[int]bool{}}
	if err := d.Load(strings.Replace(d.Caddyfile(managedRoutes), "admin off", "admin "+d.admin, 1)); err != nil {
		t.Fatal(err)
	}
	hash, err := signin.HashPassword(t.Context(), alicesPassword)
	if err != nil {
		t.Fatal(err)
	}
	d.Update(func(tx *keys.Tx) error {
		for _, user := range []string{"alice", "bob"} {
			if _, err := tx.ChangeUser(user, func(u *keys.User) error { u.PasswordHash = hash; return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	return d
}

var variablesOfPath = regexp.MustCompile(`\{(\w+)\}`)

// do makes a call that fits the description, with the values of the path's
// variables in their order, and wants an answer that does.
func (d *described) do(who, call string, vars []string, body string, want int) (a manage.Answer) {
	d.t.Helper()
	status, a := d.make(who, call, vars, body, true)
	if status != want {
		d.t.Fatalf("%s %v %s answered %d %+v, want %d", call, vars, body, status, a.Status, want)
	}
	return a
}

// make makes a call. Whatever the request is, the answer is a described one.
func (d *described) make(who, call string, vars []string, body string, fits bool) (int, manage.Answer) {
	d.t.Helper()
	method, pattern, _ := strings.Cut(call, " ")
	pattern, query, _ := strings.Cut(pattern, "?")
	params := map[string]string{}
	path := variablesOfPath.ReplaceAllStringFunc(pattern, func(name string) string {
		value := vars[len(params)]
		params[strings.Trim(name, "{}")] = value
		return value
	})
	item := d.doc.Paths.Value(pattern)
	if item == nil || item.GetOperation(method) == nil {
		d.t.Fatalf("%s is not described", call)
	}
	target := "http://" + d.Addr + path
	if who == byOperator {
		target = "http://" + d.admin + "/api_keys" + path
	}
	request := func() *http.Request {
		r, err := http.NewRequest(method, target+"?"+query, strings.NewReader(body))
		if err != nil {
			d.t.Fatal(err)
		}
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		} else {
			r.Body = http.NoBody
		}
		if who != byOperator && who != "" {
			r.Header.Set("Authorization", "Key "+who)
		}
		return r
	}
	in := &openapi3filter.RequestValidationInput{
		Request: request(), PathParams: params,
		Route: &routers.Route{Spec: d.doc, Path: pattern, PathItem: item, Method: method, Operation: item.GetOperation(method)},
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
			RejectWhenRequestBodyNotSpecified: true, SkipSettingDefaults: true,
		},
	}
	if fits {
		if err := openapi3filter.ValidateRequest(d.t.Context(), in); err != nil {
			d.t.Errorf("%s %s: the request is not as described: %v", call, body, err)
		}
	}
	res, err := gatetest.DoAgain(http.DefaultClient, request())
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: res.StatusCode, Header: res.Header,
		Body: io.NopCloser(bytes.NewReader(text)), Options: in.Options,
	}
	if err := openapi3filter.ValidateResponse(d.t.Context(), out); err != nil {
		d.t.Errorf("%s %.200s: the answer %d %.500s is not as described: %v", call, body, res.StatusCode, text, err)
	}
	op := method + " " + pattern
	if d.seen[op] == nil {
		d.seen[op] = map[int]bool{}
	}
	d.seen[op][res.StatusCode] = true
	var a manage.Answer
	if res.Header.Get("Content-Type") == "application/json" {
		if err := json.Unmarshal(text, &a); err != nil {
			d.t.Fatal(err)
		}
	}
	return res.StatusCode, a
}
