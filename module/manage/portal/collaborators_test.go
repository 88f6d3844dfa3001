package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// Removing a collaborator, or leaving, is confirmed on a page that names both.
func TestRemovalIsConfirmed(t *testing.T) {
	s := newTestPortal(t)
	for path, want := range map[string]string{
		"/apps/shop/collaborators/of/bob/remove":    "<strong>bob</strong> can't use <strong>Shop</strong>",
		"/shared/leave?app=maps&owner=carol%3Cb%3E": "<strong>maps</strong> of <strong>carol&lt;b&gt;</strong>",
	} {
		if w := s.get(path); w.Code != http.StatusOK || !strings.Contains(strings.ReplaceAll(w.Body.String(), "&#39;", "'"), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := s.get("/apps/shop/collaborators/of/zoe/remove"); w.Code != http.StatusNotFound {
		t.Errorf("one who isn't a collaborator: %d", w.Code)
	}
	if len(s.changed) > 0 {
		t.Errorf("asking has changed %v", s.changed)
	}
	_, to, _ := s.send("/apps/shop/collaborators/remove", url.Values{"user": {"bob"}})
	_, back, _ := s.send("/shared/leave", url.Values{"app": {"maps"}, "owner": {"carol"}})
	if to != "/portal/apps/shop/collaborators?done=collaborator-removed#notice" || back != "/portal/shared?done=left-app#notice" {
		t.Errorf("led to %s and %s", to, back)
	}
	want := "[DELETE /v2/users/me/apps/shop/collaborators map[ids:[bob]] DELETE /v2/users/me/collaborations map[apps:[map[id:maps user_id:carol]]]]"
	if fmt.Sprint(s.changed) != want {
		t.Errorf("changed %v, want %s", s.changed, want)
	}
}

// Everyone is a choice of its own, and refusals are in the words of the page.
func TestCollaboratorsWithoutTheAPIsWords(t *testing.T) {
	s := newTestPortal(t)
	const path = "/apps/shop/collaborators/new"
	if status, _, text := s.send(path, url.Values{"who": {"user"}}); status != http.StatusBadRequest || !strings.Contains(text, "Type the ID of the user") || len(s.changed) > 0 {
		t.Errorf("no user: %d, changed %v: %s", status, s.changed, text)
	}
	s.send(path, url.Values{"who": {"everyone"}, "user": {"typed"}, "scope": {"Inputs:Get"}})
	if len(s.changed) != 1 || !strings.Contains(s.changed[0], "user_id:*]") {
		t.Errorf("everyone: %v", s.changed)
	}
	for code, says := range map[manage.Code]string{manage.CodeExists: "is a collaborator already", manage.CodeInvalid: "An ID has letters"} {
		s.refuse = &manage.Status{Code: code, Field: "collaborators[0].user_id", Details: "send a PATCH, or *"}
		_, _, text := s.send(path, url.Values{"user": {"b b"}, "who": {"user"}})
		if !strings.Contains(text, says) || strings.Contains(text, "PATCH") {
			t.Errorf("%d: %s", code, text)
		}
	}
}
