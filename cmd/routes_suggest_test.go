package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gateway/shadowlog"
)

// shadowLine is a line of the log, with these fields of a decision.
func shadowLine(fields string) string {
	return `{"level":"info","ts":1.5,"logger":"http.handlers.api_keys","msg":"decided in shadow mode","uuid":"x",` + fields + "}\n"
}

// shadowLog is a log in which one key uses less than it has and lacks
// something, and another is refused for what no scope would change.
var shadowLog = strings.Join([]string{
	"a line of something else\n",
	`{"level":"info","logger":"http.log.access","msg":"handled request"}` + "\n",
	shadowLine(`"decision":"allow","key_id":"cak_1","key_type":"app_key","user_id":"alice","method":"GET","route":"GET /v2/inputs","scopes":["Inputs:Get"],"endpoints":["/a.V2/List"]`),
	shadowLine(`"decision":"allow","key_id":"cak_1","key_type":"app_key","user_id":"alice","method":"GET","route":"GET /v2/inputs","scopes":["Inputs:Get"],"endpoints":["/a.V2/List"]`),
	shadowLine(`"decision":"refuse","key_id":"cak_1","key_type":"app_key","user_id":"alice","method":"POST","route":"POST /v2/inputs","scopes":["Apps:Get","Inputs:Add"],"endpoints":["/a.V2/Post"],"step":8,"status":403,"code":11007,"missing_scopes":["Inputs:Add"]`),
	shadowLine(`"decision":"refuse","key_id":"cak_1","key_type":"app_key","user_id":"alice","method":"GET","route":"GET /v2/keys","scopes":["Keys:Get"],"step":6,"status":403,"code":11007`),
	shadowLine(`"decision":"end","key_id":"cak_1","key_type":"app_key","user_id":"alice","method":"GET","route":"GET /v2/stream","scopes":["Stream"],"step":4,"status":401,"code":11009`),
	shadowLine(`"decision":"allow","key_id":"cap_2","key_type":"pat","user_id":"bob","method":"GET","route":"GET /v2/whoami"`),
	shadowLine(`"decision":"refuse","method":"GET","step":3,"status":401,"code":11102`),
	shadowLine(`"decision":"public","method":"GET","route":"GET /healthz"`),
}, "")

func TestRoutesSuggest(t *testing.T) {
	out := run(t, shadowLog, "routes", "suggest", "-")
	if out.err != nil {
		t.Fatal(out.err)
	}
	contains(t, out.out, "cak_1 (app_key of alice)", "2 allowed, 1 lacking scopes or endpoints, 1 refused otherwise",
		"Apps:Get,Inputs:Get", "/a.V2/List,/a.V2/Post", "cap_2 (pat of bob)", "can't be limited to endpoints",
		"2 keys; 1 request of public routes, 1 without a known credential; 2 other lines skipped")
	if strings.Contains(out.out, "Keys:Get") || strings.Contains(out.out, "Stream") {
		t.Errorf("scopes that would not have helped are named: %s", out.out)
	}

	folder := t.TempDir()
	log, config := filepath.Join(folder, "caddy.log"), filepath.Join(folder, "Caddyfile")
	for file, text := range map[string]string{
		log: shadowLog,
		config: `:80 {
	api_keys {
		scope Apps:Get
		scope Inputs:Get
		scope Inputs:Add {
			needs Collections:Get
		}
		scope Collections:Get
		route GET /v2/inputs Inputs:Get
	}
}`,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out = run(t, "", "routes", "suggest", log, "--config", config, "-o", "json")
	if out.err != nil {
		t.Fatal(out.err)
	}
	var got shadowlog.Usage
	if err := json.Unmarshal([]byte(out.out), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Keys) != 2 || strings.Join(got.Keys[0].MissingScopes, " ") != "Inputs:Add" ||
		strings.Join(got.Keys[0].Needs, " ") != "Collections:Get" || got.Others != 2 || !got.Keys[1].NoEndpoint {
		t.Errorf("got %+v", got)
	}
	if out := run(t, "", "routes", "suggest", filepath.Join(folder, "nothing")); out.err == nil {
		t.Error("a log that isn't there was read")
	}
	// A site's access log has no decisions, which is easily taken for one.
	out = run(t, `{"level":"info","logger":"http.log.access","msg":"handled request"}`+"\n", "routes", "suggest", "-")
	if out.err != nil || !strings.Contains(out.errOut, "not in a site's access log") {
		t.Errorf("an access log gives %v %s", out.err, out.errOut)
	}
	if out := run(t, shadowLog, "routes", "suggest", "-"); out.errOut != "" {
		t.Errorf("a log with decisions gives %s", out.errOut)
	}
	if out := run(t, "", "routes", "suggest", "-"); out.err != nil || !strings.Contains(out.out, "0 keys") {
		t.Errorf("an empty log gives %v %s", out.err, out.out)
	}
}
