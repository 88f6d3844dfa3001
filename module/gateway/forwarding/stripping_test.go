package forwarding

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Browsers send the portal's session cookie to every port of its host. No
// upstream gets it, whatever the site's gate says, and all other cookies arrive
// byte for byte.
func TestThePortalsCookieIsNeverForwarded(t *testing.T) {
	const site = "route GET /v2/inputs Inputs:Get\nroute GET /open {\naccept public\n}"
	server := gatetest.Start(t, site)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	key, session := server.AppKey("alice", "shop", "Inputs:Get"), server.Session("alice")
	const name = "__Host-api-keys-session"
	rows := []struct {
		sent, arrives []string
	}{
		{[]string{name + "=" + session}, nil},
		{[]string{name + "=" + session + "; theme=dark; a=\"b c\";d=;e"}, []string{"theme=dark; a=\"b c\";d=;e"}},
		{[]string{"theme=dark; " + name + "=" + session}, []string{"theme=dark"}},
		{[]string{"theme=dark; " + name + "=" + session + "; a=1"}, []string{"theme=dark; a=1"}},
		{[]string{"a=1;" + name + "=" + session + ";b=2;" + name + "=other;c=3"}, []string{"a=1;b=2;c=3"}},
		{[]string{"a=1", name + "=" + session, "b=2; " + name + "=x"}, []string{"a=1", "b=2"}},
		{[]string{"a=1; " + name + "=\"" + session + "\"; b=2"}, []string{"a=1; b=2"}},
		{[]string{"a=1;  \t" + name + " \t= " + session + " ; b=2"}, []string{"a=1; b=2"}},
		{[]string{"a=1; " + strings.ToUpper(name) + "=" + session}, []string{"a=1"}},
		{[]string{"a=1, " + name + "=" + session + "; b=2"}, []string{"b=2"}},
		{[]string{"a=1 " + name + "=" + session + "; b=2"}, []string{"b=2"}},
		{[]string{"\"" + name + "\"=" + session + "; b=2"}, []string{"b=2"}},
		{[]string{"x" + name + "=1; " + name + "2=2; " + name + "; note=" + name + ";;"}, []string{"x" + name + "=1; " + name + "2=2; " + name + "; note=" + name + ";;"}},
		{[]string{"__Host-other=1; api-keys-session=2"}, []string{"__Host-other=1; api-keys-session=2"}},
	}
	for _, options := range []string{"", "\nforward_credential", "\nmode shadow", "\nmode shadow\nforward_credential"} {
		server.Reload(site + options)
		for _, protocol := range gatetest.Protocols {
			c := gatetest.Client(t, protocol)
			for _, row := range rows {
				if protocol == "HTTP/2" && (strings.Contains(row.sent[0], "\t") || strings.HasSuffix(row.sent[0], ";;")) {
					continue // its client parts cookies, and the server refuses white space around a part
				}
				var lines []string
				for _, line := range row.sent {
					lines = append(lines, "Cookie: "+line)
				}
				for _, request := range []struct {
					target string
					lines  []string
				}{{"/open", nil}, {"/v2/inputs", []string{"Authorization: Key " + key}}, {"/v2/inputs", nil}, {"/nothing", nil}} {
					a := server.Ask(c, "GET", request.target, append(request.lines, lines...)...)
					if a.Forwarded == nil {
						if strings.Contains(options, "shadow") || a.StatusCode == 200 {
							t.Errorf("%s %s: answered %s", options, request.target, a.Status)
						}
						continue
					}
					got, want := strings.Join(a.Forwarded.Header["Cookie"], "\n"), strings.Join(row.arrives, "\n")
					if protocol == "HTTP/2" { // its client parts cookies, and the server joins them
						spaces := strings.NewReplacer("\n", ";", "; ", ";")
						got, want = spaces.Replace(got), spaces.Replace(want)
					}
					if got != want {
						t.Errorf("%s %s over %s: of %q arrives %q, want %q", options, request.target, protocol, row.sent, got, want)
					}
				}
			}
		}
	}
}

// A site whose portal answers some paths hands on all others without the
// portal's cookie, also where it has no gate.
func TestThePortalHandsOnNoCookie(t *testing.T) {
	server := gatetest.Start(t, "route GET /v2/inputs")
	_, port, _ := strings.Cut(server.Addr, ":")
	if err := server.Load(fmt.Sprintf("{\nadmin off\npersist_config off\napi_keys {\nstore bbolt %s\n}\n}\nhttp://:%s {\napi_keys_manage {\nportal /portal\n}\napi_keys_manage {\nbase /v3\nportal /second\n}\nreverse_proxy %s\n}\n",
		server.StorePath, port, server.Upstream.Addr)); err != nil {
		t.Fatal(err)
	}
	server.AddUsers("alice")
	cookie := "Cookie: a=1; __Host-api-keys-session=" + server.Session("alice")
	if a := server.Ask(gatetest.Client(t, "HTTP/1.1"), "GET", "/anything", cookie); a.Forwarded == nil || a.Forwarded.Header.Get("Cookie") != "a=1" {
		t.Errorf("answered %s, and the upstream saw %+v", a.Status, a.Forwarded)
	}
	for _, portal := range []string{"/portal/", "/second/"} {
		if a := server.Ask(gatetest.Client(t, "HTTP/1.1"), "GET", portal, cookie); a.StatusCode != 200 || !strings.Contains(a.Text, "alice") {
			t.Errorf("the portal answers %s", a.Status)
		}
	}
}

// A credential of ours in a header that the site doesn't read is not a
// credential here, and may be one to the upstream.
func TestCredentialsInOtherHeadersAreStripped(t *testing.T) {
	const site = "route GET /v2/inputs Inputs:Get\nroute GET /open {\naccept public\n}\ncredential header X-Token"
	server := gatetest.Start(t, site)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	// Not by w.key: the access log shows headers that nobody knows of.
	key, id := credential.Mint("ca", policy.AppKey)
	server.Update(func(tx *keys.Tx) error {
		_, err := tx.CreateCredential(keys.Credential{ID: id, Digest: credential.DigestOf(key), Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"Inputs:Get"}})
		return err
	})
	other, _ := credential.Mint("acme9", policy.PAT)
	const foreign = "sk-imported=elsewhere-0123"
	server.Update(func(tx *keys.Tx) error {
		_, err := tx.CreateCredential(keys.Credential{ID: credential.NewID("ca", policy.PAT), Digest: credential.DigestOf(foreign), Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"}})
		return err
	})
	basic := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	wrong := key[:len(key)-1] + "!"
	rows := []struct {
		line, arrives string
	}{
		{"X-Api-Key: " + key, ""},
		{"X-Api-Key: " + other, ""},
		{"X-Anything: Key " + key, ""},
		{"X-Anything: foo=" + key, ""},
		{"X-Anything: key=\"" + key + "\", b", ""},
		{"X-Anything: {\"key\":\"" + other + "\"}", ""},
		{"X-Anything: ä" + key + "ä", ""},
		{"X-Anything: abc" + key + "xyz", ""},
		{"Proxy-Authorization: Bearer " + key, ""},
		{"Proxy-Authorization: Basic " + basic("alice:"+other), ""},
		{"Authorization: Basic " + basic(other+":"), ""},
		{"Authorization: Token " + other, ""},
		{"Authorization: " + other, ""},
		{"Referer: https://example.com/?api_key=" + key + "&b=1", ""},
		{"Sec-Websocket-Protocol: chat, " + key, ""},
		{"Cookie: a=1; api_key=" + key + "; b=2", "a=1; b=2"},
		{"Cookie: api_key=" + other, ""},
		{"X-Anything: " + wrong, wrong},
		{"X-Anything: " + key[:16], key[:16]},
		{"X-Anything: " + strings.Repeat("cak_", 300), strings.Repeat("cak_", 300)},
		{"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		{"Authorization: Basic " + basic("alice:secret"), "Basic " + basic("alice:secret")},
	}
	inUse := []struct{ line, arrives string }{
		{"X-Api-Key: " + foreign, ""},
		{"X-Api-Key: Key " + foreign, ""},
		{"X-Anything: a=" + foreign + ";", ""},
		{"Cookie: k=" + foreign + "; b=2", "b=2"},
		{"Proxy-Authorization: Basic " + basic("x:"+foreign), ""},
		{"X-Anything: sk-imported=elsewhere-01234", "sk-imported=elsewhere-01234"},
	}
	ask := func(c, target, credential, line string) (arrived string, reached bool) {
		lines := []string{line}
		if credential != "" {
			lines = append(lines, credential)
		}
		a := server.Ask(gatetest.Client(t, c), "GET", target, lines...)
		if a.Forwarded == nil {
			return a.Status, false
		}
		name, _, _ := strings.Cut(line, ": ")
		return strings.Join(a.Forwarded.Header[name], "\n"), true
	}
	for _, protocol := range gatetest.Protocols {
		for _, row := range rows {
			if got, reached := ask(protocol, "/open", "", row.line); !reached || got != row.arrives {
				t.Errorf("/open over %s: of %q arrives %q", protocol, row.line, got)
			}
			if got, reached := ask(protocol, "/v2/inputs", "X-Token: "+key, row.line); !reached || got != row.arrives {
				t.Errorf("/v2/inputs over %s: of %q arrives %q", protocol, row.line, got)
			}
		}
		for _, row := range inUse {
			for _, target := range []string{"/open", "/v2/inputs"} {
				if got, reached := ask(protocol, target, "Authorization: Bearer "+foreign, row.line); !reached || got != row.arrives {
					t.Errorf("%s over %s: of %q arrives %q", target, protocol, row.line, got)
				}
			}
		}
	}
	// Of several lines the others stay.
	a := server.Ask(gatetest.Client(t, "HTTP/1.1"), "GET", "/open", "X-Api-Key: mine", "X-Api-Key: "+key)
	if got := strings.Join(a.Forwarded.Header["X-Api-Key"], "|"); got != "mine" {
		t.Errorf("of two lines arrives %q", got)
	}
	// forward_credential lets the upstream see credentials, as it says.
	server.Reload(site + "\nforward_credential")
	if got, reached := ask("HTTP/1.1", "/v2/inputs", "X-Token: "+key, "X-Api-Key: "+other); !reached || got != other {
		t.Errorf("with forward_credential %q arrives", got)
	}
	// Requests that shadow mode would have refused are forwarded as sent.
	server.Reload(site + "\nmode shadow")
	if got, reached := ask("HTTP/1.1", "/v2/inputs", "", "X-Api-Key: "+other); !reached || got != other {
		t.Errorf("in shadow mode %q arrives", got)
	}
}
