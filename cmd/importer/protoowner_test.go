package importer

import (
	"fmt"
	"strings"
	"testing"
)

// Owner and app are found by the type of the message that has them, wherever
// in a request it stands.
func TestProtoOwners(t *testing.T) {
	const clarifai = `message Set { string user_id = 1; string app_id = 2; } message Plain { Set user_app_id = 1; } `
	tests := []struct {
		name, messages, http, lines string
		owner, app                  string
		warnings                    []string
	}{
		{
			name: "query", messages: clarifai + `message R { Set user_app_id = 3; string user_id = 4; }`, http: `get: "/a"`,
			lines: `owner_query user_app_id.user_id user_app_id.app_id
owner_message /API/Do user_app_id.user_id=3.1 user_app_id.app_id=3.2`,
		},
		{
			name: "the app alone is left to the query", messages: clarifai + `message R { Set user_app_id = 1; }`, http: `get: "/a/{user_app_id.user_id}"`,
			lines: `owner_query user_app_id.user_id user_app_id.app_id
owner_message /API/Do user_app_id.user_id=1.1 user_app_id.app_id=1.2`,
		},
		{
			name: "all in the path", messages: clarifai + `message R { Set user_app_id = 1; }`, http: `get: "/a/{user_app_id.user_id}/{user_app_id.app_id=*}"`,
			lines: `owner_message /API/Do user_app_id.user_id=1.1 user_app_id.app_id=1.2`,
		},
		{
			name: "in the path, and in the body", messages: clarifai + `message R { Set user_app_id = 1; }`, http: `post: "/a/{user_app_id.user_id}/{user_app_id.app_id}" body: "*"`,
			lines: `owner_body user_app_id.user_id user_app_id.app_id
owner_message /API/Do user_app_id.user_id=1.1 user_app_id.app_id=1.2`,
		},
		{
			name: "nested, in a oneof and in lists", http: `post: "/a" body: "*"`,
			messages: clarifai + `message R { oneof o { Config config = 2; string b = 1; } repeated Item items = 7; } message Config { Set of = 3; } message Item { repeated Config more = 1; }`,
			lines: `owner_body config.of.user_id config.of.app_id items.more.of.user_id items.more.of.app_id
owner_message /API/Do config.of.user_id=2.3.1 config.of.app_id=2.3.2 items.more.of.user_id=7.1.3.1 items.more.of.app_id=7.1.3.2`,
		},
		{
			name: "the body is a field", messages: clarifai + `message R { Config config = 1; Set user_app_id = 2; repeated Config list = 3; } message Config { Set of = 1; }`, http: `post: "/a" body: "config"`,
			lines: `owner_query user_app_id.user_id user_app_id.app_id
owner_body of.user_id of.app_id
owner_message /API/Do user_app_id.user_id=2.1 user_app_id.app_id=2.2 config.of.user_id=1.1.1 config.of.app_id=1.1.2 list.of.user_id=3.1.1 list.of.app_id=3.1.2`,
		},
		{
			name: "another name in JSON", messages: clarifai + `message R { Set user_app_id = 1 [json_name = "tenant"]; }`, http: `post: "/a" body: "*"`,
			lines: `owner_body tenant.user_id tenant.app_id user_app_id.user_id user_app_id.app_id
owner_message /API/Do user_app_id.user_id=1.1 user_app_id.app_id=1.2`,
		},
		{
			name: "names in JSON that no site can say", messages: `message Set { string user_id = 1 [json_name = "owner"]; string app_id = 2; } message Plain { Set user_app_id = 1; } message R { Set user_app_id = 1 [json_name = "{env.HOME} x"]; }`,
			http: `post: "/a" body: "*"`,
			lines: `owner_body user_app_id.user_id user_app_id.app_id
owner_message /API/Do user_app_id.user_id=1.1 user_app_id.app_id=1.2`,
			warnings: []string{"by another JSON name", "by another JSON name"},
		},
		{
			name: "a map", messages: clarifai + `message R { map<string, Set> sets = 5; }`, http: `post: "/a" body: "*"`,
			lines:    `owner_message /API/Do sets.value.user_id=5.2.1 sets.value.app_id=5.2.2`,
			warnings: []string{"in a map", "in a map"},
		},
		{
			name: "a message of itself", messages: clarifai + `message R { Set user_app_id = 1; R again = 2; }`, http: `get: "/a"`,
			lines: func() string {
				var query, message strings.Builder
				for i := range MaxOwnerDepth {
					path, numbers := strings.Repeat("again.", i)+"user_app_id.", strings.Repeat("2.", i)+"1."
					fmt.Fprintf(&query, "owner_query %[1]suser_id %[1]sapp_id\n", path)
					fmt.Fprintf(&message, " %[1]suser_id=%[2]s1 %[1]sapp_id=%[2]s2", path, numbers)
				}
				return query.String() + "owner_message /API/Do" + message.String()
			}(),
			warnings: []string{"Do can name an owner or an app in again.again.again.again.again.again.again.again, where it is not checked"},
		},
		{
			name: "fields of the request's own", owner: "user_id", app: "app_id",
			messages: clarifai + `message R { string user_id = 6; Plain plain = 1; }`, http: `get: "/a"`,
			lines: `owner_query user_id app_id
owner_message /API/Do user_id=6`,
		},
		{
			name: "a number", messages: `message Set { int64 user_id = 1; string app_id = 2; } message Plain { Set user_app_id = 1; } message R { Set user_app_id = 1; }`, http: `get: "/a"`,
			lines: `owner_query user_app_id.user_id user_app_id.app_id
owner_message /API/Do user_app_id.app_id=1.2`,
			warnings: []string{"Set.user_id can also be named outside the path"},
		},
		{name: "none", messages: clarifai + `message R { string user_id = 1; }`, http: `post: "/a" body: "*"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// Another method shows of what type the field is.
			res, err := Proto(t.Context(), ProtoOptions{
				Shared: Shared{Unstated: []string{"pat"}, OwnerField: test.owner, AppField: test.app},
				Files:  []string{"a.proto"},
				Sources: folder("a.proto", `syntax = "proto3"; import "google/api/annotations.proto"; `+test.messages+`
service API { rpc Do (stream R) returns (R) { option (google.api.http) = { `+test.http+` }; } rpc Other (Plain) returns (R); }`),
			})
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for line := range strings.Lines(sound(t, res)) {
				if strings.HasPrefix(line, "owner_") && !strings.HasPrefix(line, "owner_message /API/Other ") {
					lines = append(lines, line)
				}
			}
			if got := strings.TrimSpace(strings.Join(lines, "")); got != test.lines {
				t.Errorf("got\n%s\nwant\n%s", got, test.lines)
			}
			warned(t, res, append(test.warnings, "Do states no demand", "Other states no demand")...)
		})
	}
}
