package answer_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"google.golang.org/grpc/codes"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gateway/answer"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func question(t *testing.T, method string) *authz.Question {
	t.Helper()
	table, err := policy.NewTable([]policy.Route{
		{Method: "POST", Pattern: "/items", Scopes: []string{"Items:Add", "Items:Get"}, Accept: []string{"pat", "session"}},
	}, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	return &authz.Question{Method: method, Path: "/items", Table: table, Rule: table.Rules()[0]}
}

// Every reason is answered as the contract says.
func TestEveryReasonHasItsAnswer(t *testing.T) {
	lack := policy.Lack{Scopes: []string{"Items:Add"}, NoEndpoint: true}
	for _, row := range []struct {
		outcome authz.Outcome
		method  string
		status  int
		code    manage.Code
		grpc    codes.Code
		details string // a part of them
	}{
		{authz.Outcome{Reason: authz.Target, Err: errors.New("there are two")}, "", 400, 11102, 3, "The request was refused: there are two."},
		{authz.Outcome{Reason: authz.Target, Err: &tenant.Error{Problem: tenant.Unreadable, Details: "Unzip it."}}, "", 415, 11102, 3, "Unzip it."},
		{authz.Outcome{Reason: authz.Target, Err: &tenant.Error{Problem: tenant.TooLarge, Details: "Less."}}, "", 413, 40033, 8, "Less."},
		{authz.Outcome{Reason: authz.Target, Err: &tenant.Error{Problem: tenant.Slow, Details: "Faster."}}, "", 408, 11102, 4, "Faster."},
		{authz.Outcome{Reason: authz.Target, Err: &tenant.Error{Problem: tenant.Ambiguous, Details: "Once."}}, "", 400, 11102, 3, "Once."},
		{authz.Outcome{Reason: authz.NearLiteral}, "", 400, 11102, 3, "Spell it exactly."},
		{authz.Outcome{Reason: authz.MethodUnknown}, "BREW", 400, 11102, 3, "case-sensitive"},
		{authz.Outcome{Reason: authz.MethodUnknown}, "PROPFIND", 501, 11102, 3, "case-sensitive"},
		{authz.Outcome{Reason: authz.CredentialMissing}, "", 401, 11102, 16, "Authorization: Key"},
		{authz.Outcome{Reason: authz.CredentialSeveral}, "", 400, 11102, 3, "exactly one"},
		{authz.Outcome{Reason: authz.CredentialMalformed}, "", 400, 11102, 3, "one space"},
		{authz.Outcome{Reason: authz.CredentialUnknown}, "", 401, 11009, 16, "revoked"},
		{authz.Outcome{Reason: authz.Expired}, "", 401, 11008, 16, "expired"},
		{authz.Outcome{Reason: authz.Disabled}, "", 401, 11008, 16, "disabled"},
		{authz.Outcome{Reason: authz.Suspended}, "", 401, 11008, 16, "suspended"},
		{authz.Outcome{Reason: authz.StoreUnavailable, Err: errors.New("disk /secret is full")}, "", 503, 40031, 14, "Try again."},
		{authz.Outcome{Reason: authz.Stale}, "", 503, 40031, 14, "Try again."},
		{authz.Outcome{Reason: authz.RouteUnknown}, "", 404, 11101, 12, "path"},
		{authz.Outcome{Reason: authz.MethodNotAllowed, Allow: []string{"GET", "HEAD"}}, "", 405, 11103, 12, "GET, HEAD"},
		{authz.Outcome{Reason: authz.Kind}, "", 403, 11007, 7, "pat or session"},
		{authz.Outcome{Reason: authz.Owner}, "", 403, 11008, 7, "no right"},
		{authz.Outcome{Reason: authz.Scopes, Lack: lack}, "", 403, 11007, 7, "missing scopes Items:Add; the credential is limited to endpoints"},
	} {
		t.Run(fmt.Sprint(row.outcome.Reason, " ", row.status), func(t *testing.T) {
			a := answer.To(question(t, row.method), &row.outcome)
			if a.Reason != row.outcome.Reason || a.Status != row.status || a.Code != row.code || a.GRPC != row.grpc || !strings.Contains(a.Details, row.details) {
				t.Errorf("answered %+v", a)
			}
			if !strings.HasSuffix(a.Details, ".") || strings.Contains(a.Details, "secret") {
				t.Errorf("said %q", a.Details)
			}
		})
	}
}

// A reason without an answer is a failure of ours, and never a pass.
func TestAReasonWithoutAnAnswerIsAFailure(t *testing.T) {
	for _, reason := range []authz.Reason{0, authz.Allowed, 200} {
		if a := answer.To(question(t, ""), &authz.Outcome{Reason: reason}); a.Status != 500 || a.Code != manage.CodeInternal || a.GRPC != codes.Internal {
			t.Errorf("%d is answered %+v", reason, a)
		}
	}
}

func TestForms(t *testing.T) {
	lacking := answer.To(question(t, ""), &authz.Outcome{Reason: authz.Scopes, Lack: policy.Lack{Scopes: []string{"Items:Add"}}})
	challenge := `Bearer realm="api", error="insufficient_scope", scope="Items:Add Items:Get"`
	for _, row := range []struct {
		name, form, contentType string
		status                  int
		header                  map[string]string
		body                    string
	}{
		{"clarifai", "", "", 403, map[string]string{"Content-Type": "application/json", "Www-Authenticate": challenge},
			`{"status":{"code":11007,"description":"API key has insufficient scopes","details":"The request was refused: missing scopes Items:Add.","missing_scopes":["Items:Add"],"req_id":"7"}}`},
		{"problem", "problem", "", 403, map[string]string{"Content-Type": "application/problem+json"},
			`{"type":"about:blank","title":"Forbidden","status":403,"detail":"The request was refused: missing scopes Items:Add.","code":11007,"req_id":"7","missing_scopes":["Items:Add"]}`},
		{"gRPC", "problem", "application/grpc", 200, map[string]string{"Content-Type": "application/grpc", "Grpc-Status": "7", "Content-Length": "0"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			form, err := answer.ParseForm(row.form)
			if err != nil {
				t.Fatal(err)
			}
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/items", nil)
			if row.contentType != "" {
				r.Header.Set("Content-Type", row.contentType)
			}
			if err := lacking.Write(w, r, form, "7"); err != nil {
				t.Fatal(err)
			}
			if w.Code != row.status || w.Body.String() != row.body || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("wrote %d %v %s", w.Code, w.Header(), w.Body)
			}
			for name, want := range row.header {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s is %q", name, got)
				}
			}
		})
	}
	t.Run("caddy", func(t *testing.T) {
		w := httptest.NewRecorder()
		err := lacking.Write(w, httptest.NewRequest(http.MethodPost, "/items", nil), answer.Caddy, "7")
		if failed, ok := errors.AsType[caddyhttp.HandlerError](err); !ok || failed.StatusCode != 403 || w.Body.Len() > 0 {
			t.Errorf("returned %v, wrote %s", err, w.Body)
		}
	})
	if _, err := answer.ParseForm("xml"); err == nil {
		t.Error("there is a form xml")
	}
}

// Bytes after a request that can't be read are not read as another request.
func TestAnswersThatCloseTheConnection(t *testing.T) {
	for reason, closes := range map[authz.Reason]bool{
		authz.Target: true, authz.CredentialSeveral: true, authz.CredentialMissing: false, authz.Owner: false, authz.RouteUnknown: false,
	} {
		w := httptest.NewRecorder()
		a := answer.To(question(t, ""), &authz.Outcome{Reason: reason})
		if err := a.Write(w, httptest.NewRequest(http.MethodGet, "/items", nil), answer.Clarifai, ""); err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(w.Header()["Connection"], "close"); got != closes {
			t.Errorf("%s closes the connection: %v", reason, got)
		}
	}
}
