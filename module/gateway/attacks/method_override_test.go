package attacks

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

const overrideSite = `
	route GET /v2/items/{id} Items:Get
	route POST /v2/items/{id} Items:Get
	route DELETE /v2/items/{id} Items:Delete
	route GET /open/{id} {
		accept public
	}
	route POST /open/{id} {
		accept public
	}
	route DELETE /open/{id} Items:Delete
	route GET /same/{id} Items:Get
	route POST /same/{id} Items:Get
	route PUT /same/{id} Items:Get
	route * /any/{id} Items:Get`

const urlencoded = "application/x-www-form-urlencoded"

// fieldPart is a form of one field in front of another.
func fieldPart(disposition, value string) string {
	return "--x\r\n" + disposition + "\r\n\r\n" + value + "\r\n--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n"
}

// A parameter that asks for another method is refused where that method has
// other demands, on public routes too.
func TestMethodOverrideByQuery(t *testing.T) {
	server := gatetest.Start(t, overrideSite)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	auth := "Authorization: Key " + server.AppKey("alice", "shop", "Items:Get")
	for _, tt := range []struct {
		target string
		status int
	}{
		{"/v2/items/1?_method=DELETE", 400},
		{"/v2/items/1?_method=delete", 400},
		{"/v2/items/1?_method=PUT", 400},
		{"/v2/items/1?a=1&%5fmethod=DELETE", 400},
		{"/v2/items/1?_METHOD=DELETE", 400},
		{"/v2/items/1?.method=DELETE", 400},
		{"/v2/items/1?%5B_m%65thod=DELETE", 400},
		{"/v2/items/1?_method[]=DELETE", 400},
		{"/v2/items/1?a%3B_method=DELETE", 200}, // a name of its own
		{"/v2/items/1?X-HTTP-Method-Override=DELETE", 400},
		{"/v2/items/1?x_http_method=DELETE", 400},
		{"/open/1?_method=DELETE", 400},
		{"/same/1?_method=PUT", 200},
		{"/same/1?_method=DELETE", 400},
		{"/same/1?_method=%ff%zz", 400},
		{"/any/1?_method=DELETE", 200},
		{"/v2/items/1?method=bank", 200},
		{"/v2/items/1?payment_method=card&methods=a&a[method]=b&_methods=c", 200},
		{"/open/1?q=_method", 200},
	} {
		for _, method := range []string{"GET", "POST"} {
			a := server.Ask(gatetest.Client(t, "HTTP/1.1"), method, tt.target, auth)
			if a.StatusCode != tt.status || (a.Forwarded != nil) != (tt.status == 200) {
				t.Errorf("%s %s is answered %s %s, and reaches: %v", method, tt.target, a.Status, a.Text, a.Forwarded != nil)
			}
		}
	}
}

func TestMethodOverrideByForm(t *testing.T) {
	server := gatetest.Start(t, overrideSite)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	auth := "Authorization: Key " + server.AppKey("alice", "shop", "Items:Get")
	const parts = "multipart/form-data; boundary=x"
	for _, tt := range []struct {
		path, kind, body string
		status           int
	}{
		{"/v2/items/1", urlencoded, "a=1&_method=DELETE", 400},
		{"/open/1", urlencoded, "_method=DELETE&a=1", 400},
		{"/v2/items/1", urlencoded, "a=1;%5FMETHOD=DELETE", 400},
		{"/v2/items/1", urlencoded, "++_method=DELETE", 400},
		{"/v2/items/1", urlencoded, strings.Repeat("%20", 2000) + "_method=DELETE", 400},
		{"/v2/items/1", "", "_method=DELETE", 400},
		{"/v2/items/1", urlencoded + "; x=multipart", "_method=DELETE", 400},
		{"/v2/items/1", urlencoded + "; charset=ibm037", "a=1", 415},
		{"/v2/items/1", urlencoded, "method=bank&payment_method=card", 200},
		{"/v2/items/1", urlencoded, "a=" + strings.Repeat("x", 3<<20), 200},
		{"/same/1", urlencoded, "_method=put", 200},
		{"/same/1", urlencoded, "_method=DELETE", 400},
		{"/any/1", urlencoded, "_method=DELETE", 200},
		{"/v2/items/1", parts, fieldPart(`Content-Disposition: form-data; name="_method"`, "DELETE"), 400},
		{"/open/1", parts, fieldPart(`content-DISPOSITION:form-data;NAME=_method`, "DELETE"), 400},
		{"/v2/items/1", parts, fieldPart("Content-Disposition: form-data;\r\n\tname=\"_method\"", "DELETE"), 400},
		{"/v2/items/1", parts, fieldPart(`Content-Disposition: form-data; name*=utf-8''%5Fmethod`, "DELETE"), 400},
		{"/v2/items/1", parts, fieldPart(`Content-Disposition: form-data; name*0="_me"; name*1="thod"`, "DELETE"), 400},
		{"/v2/items/1", parts, fieldPart(`Content-Disposition: form-data; name="\_m\ethod"`, "DELETE"), 400},
		{"/v2/items/1", parts, fieldPart("X: y\nContent-Disposition: form-data; name=\"_method\"\n", "DELETE"), 400},
		{"/v2/items/1", parts, fieldPart(`Content-Disposition: form-data; name="method"; filename="a.txt"`, "bank"), 200},
		{"/v2/items/1", parts, fieldPart(`Content-Disposition: form-data; name="f"; filename="a.bin"`, strings.Repeat("x\r\n", 1<<20)), 200},
		{"/same/1", parts, fieldPart(`Content-Disposition: form-data; name="_method"`, "PUT"), 200},
		{"/same/1", parts, fieldPart(`Content-Disposition: form-data; name="_method"`, "DELETE"), 400},
		{"/v2/items/1", "application/json", `{"a":"&_method=DELETE&"}`, 200},
	} {
		for _, protocol := range gatetest.Protocols {
			lines := []string{auth}
			if tt.kind != "" {
				lines = append(lines, "Content-Type: "+tt.kind)
			}
			a := server.AskBody(gatetest.Client(t, protocol), "POST", tt.path, strings.NewReader(tt.body), lines...)
			shown := tt.body[:min(len(tt.body), 80)]
			if a.StatusCode != tt.status || (a.Forwarded != nil) != (tt.status == 200) {
				t.Errorf("%s, %s %s: %q is answered %s %s, and reaches: %v", protocol, tt.path, tt.kind, shown, a.Status, a.Text, a.Forwarded != nil)
			} else if a.Forwarded != nil && a.Forwarded.Body != tt.body {
				t.Errorf("%s: %q: the upstream got another body", protocol, shown)
			}
		}
	}
}

// Of a form too large to be read at first, the upstream never sees the end.
func TestMethodOverrideFarDown(t *testing.T) {
	server := gatetest.Start(t, overrideSite)
	server.Upstream.AnswerWith(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil || bytes.Contains(body, []byte("_method")) {
			t.Errorf("the upstream got the field, or the end (%v)", err)
		}
	})
	filler := strings.Repeat("x", 1<<20)
	for _, tt := range []struct{ kind, body string }{
		{urlencoded, "a=" + filler + "&_method=DELETE&b=" + filler},
		{"multipart/form-data; boundary=x", fieldPart(`Content-Disposition: form-data; name="f"`, filler) + fieldPart(`Content-Disposition: form-data; name="_method"`, "DELETE")},
	} {
		text := fmt.Sprintf("POST /open/1 HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", tt.kind, len(tt.body), tt.body)
		if status := server.Raw(text); status != 400 {
			t.Errorf("%s: answered %d", tt.kind, status)
		}
	}
}
