package tenant

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant/protowalk"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func testPlaces(t testing.TB) *Places {
	t.Helper()
	text, err := os.ReadFile("../../../testdata/proto/service.binpb")
	if err != nil {
		t.Fatal(err)
	}
	descriptors, err := protowalk.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPlaces("user_id", "app_id")
	p.Bound(1<<20, 0)
	err = p.Add(
		[]policy.OwnerFields{{Owner: "user_app_id.user_id", App: "user_app_id.app_id"}},
		[]string{"user_app_id.user_id", "user_app_id.app_id", "uploads.user_app_id.user_id"},
		[]policy.OwnerMessage{{
			Method: "/pkg.Service/Method",
			Fields: []string{"user_app_id.user_id=1.1", "user_app_id.app_id=1.2", "upload.config.user_app_id.user_id=7.2.1.1"},
		}})
	if err == nil {
		err = p.Compile([]*protowalk.Descriptors{descriptors})
	}
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

func TestQueryNames(t *testing.T) {
	o := testPlaces(t)
	for _, tt := range []struct {
		query string
		want  policy.Named
	}{
		{"", policy.Named{}},
		{"page=1", policy.Named{}},
		{"user_id=bob", policy.Named{}},
		{"user_app_id.user_id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"userAppId.userId=bob&userAppId.appId=farm", policy.Named{Owner: "bob", App: "farm"}},
		{"user_app_id.userId=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user%5Fapp%5Fid.user%5Fid=b%6Fb", policy.Named{Owner: "bob", Bare: true}},
		{"user_app_id[user_id]=bob", policy.Named{Owner: "bob", Bare: true}},
		{"USER_APP_ID.USER_ID=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user_app_id.user_id=", policy.Named{}},
		{"user_app_id.user_id=me", policy.Named{Me: true}},
		{"user_app_id.user_id=bob&user_app_id.user_id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user_app_id.user_id=alice&user_app_id.user_id=bob", policy.Named{Owner: "bob", Conflict: true, Bare: true}},
		{"user_app_id.user_id=alice&userAppId.userId=bob", policy.Named{Owner: "bob", Conflict: true, Bare: true}},
		{"user_app_id.app_id=a&user_app_id.app_id=b", policy.Named{App: "b", Conflict: true}},
		{"user_app_id.user_id=b+b", policy.Named{Owner: "b b", Bare: true}},
		{"user_app_id.user_id=%zz", policy.Named{Conflict: true}},
		{"user_app_id.us\xe8er_id=bob&user_app_id.app_id=farm", policy.Named{Owner: "bob", App: "farm", Conflict: true}},
		{"user_app_id.us%E8er_id=bob&user_app_id.app_id=farm", policy.Named{Owner: "bob", App: "farm", Conflict: true}},
		{"user_app_id.user_id=bob&user_app_id.app_id=farm", policy.Named{Owner: "bob", App: "farm"}},
		{"user_app_id.user_id=bob&user_app_id.app_id=farm&user_app_id.app_id=", policy.Named{Owner: "bob", App: "farm", Conflict: true}},
		{"user_app_id.user_id[]=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user_app_id[user_id][0]=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user_app_id.user_id%00x=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user+app_id[user_id]=bob", policy.Named{Owner: "bob", Bare: true}},
		{"u%C5%BFer_app_id.user_id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user_app%C2%AD_id.user_id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user-app-id.user-id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user_app_id.user_identity=bob", policy.Named{}},
		{"user_app_id_user_id=bob&user_app_id_app_id=farm", policy.Named{Owner: "bob", App: "farm"}},
		{"user_app_id[][user_id]=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user_app_id[1][user_id][]=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user_app_id.user%C1%9Fid=bob", policy.Named{Owner: "bob", Conflict: true, Bare: true}},
		{"user_app_id.user_%C4%B1d=bob", policy.Named{Owner: "bob", Bare: true}},
		{"?user_app_id.user_id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"%zz=1&user%5Fapp_id.user+id%=bob", policy.Named{Owner: "bob", Bare: true}},
		{"%zz+=1&user%5Fapp_id.user+id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"0=bob&=bob&.=bob", policy.Named{}},
		{"x_user_app_id_user_id=bob", policy.Named{}},
		{"!user_app_id.user_id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"_user_app_id.user_id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user_app_id['user_id']=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user_app_id[%22user_id%22][]=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user_app_id[user_id][]=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user_app_id[user_id][x]=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user-app-id.userId=bob", policy.Named{Owner: "bob", Bare: true}},
		{".user.app.id.user%20id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user%5Fapp%5Fid%5Buser_id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"%EF%BD%95ser_app_id.user_id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"use%CC%81r_app_id.user_id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user%EF%BC%BFapp_id%EF%BC%8Euser_id=bob", policy.Named{Owner: "bob", Bare: true}},
		{"user_app_id.user_id=alice;x=1&user_app_id.user_id=alice", policy.Named{Owner: "alice", Conflict: true, Bare: true}},
		{"user_app_id.user_ids=bob&user_app_id.user_id_hash=bob", policy.Named{}},
		{"user_app_id2.user_id=bob&user_app_id.2user_id=bob", policy.Named{}},
	} {
		t.Run(tt.query, func(t *testing.T) {
			var n policy.Named
			o.Query(&n, tt.query)
			if n != tt.want {
				t.Errorf("names %+v, want %+v", n, tt.want)
			}
		})
	}
}

func TestBodyNames(t *testing.T) {
	o := testPlaces(t)
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	for _, tt := range []struct {
		name, body string
		want       policy.Named
		wrong      bool
	}{
		{name: "nothing", body: ``},
		{name: "spaces", body: " \n\t"},
		{name: "no names", body: `{"inputs":[{"id":"x"}]}`},
		{name: "names", body: `{"user_app_id":{"user_id":"bob","app_id":"farm"}}`, want: policy.Named{Owner: "bob", App: "farm"}},
		{name: "protobuf's camel case", body: `{"userAppId":{"userId":"bob"}}`, want: policy.Named{Owner: "bob", Bare: true}},
		{name: "an escaped value", body: `{"user_app_id":{"user_id":"b\u006fb"}}`, want: policy.Named{Owner: "bob", Bare: true}},
		{name: "an escaped name", body: `{"user_app_id":{"user_\u0069d":"bob"}}`, wrong: true},
		{name: "an escaped name on the way", body: `{"\u0075ser_app_id":{}}`, wrong: true},
		{name: "a repeated object", body: `{"user_app_id":{"user_id":"alice"},"user_app_id":{"user_id":"bob"}}`, wrong: true},
		{name: "a repeated name", body: `{"user_app_id":{"user_id":"alice","user_id":"alice"}}`, wrong: true},
		{name: "a repeated name that isn't looked at", body: `{"a":[{"b":1,"b":1}]}`, wrong: true},
		{name: "a repeated name by an escape", body: `{"a":1,"\u0061":1}`, wrong: true},
		{name: "both spellings", body: `{"user_app_id":{"user_id":"alice"},"userAppId":{"user_id":"alice"}}`, wrong: true},
		{name: "a second document", body: `{"user_app_id":{"user_id":"alice"}} {"user_app_id":{"user_id":"bob"}}`, wrong: true},
		{name: "behind other things", body: `{"inputs":[[{"user_app_id":{"user_id":"x"}}]],"user_app_id":{"user_id":"bob"}}`, want: policy.Named{Owner: "bob", Bare: true}},
		{name: "in a list", body: `{"uploads":[{"user_app_id":{"user_id":"alice"}},{"user_app_id":{"user_id":"bob"}}]}`, want: policy.Named{Owner: "bob", Conflict: true, Bare: true}},
		{name: "at the top of a list", body: `[{"user_app_id":{"user_id":"bob"}}]`, want: policy.Named{Owner: "bob", Bare: true}},
		{name: "a name with a dot", body: `{"user_app_id.user_id":"bob"}`, wrong: true},
		{name: "a name with brackets", body: `{"user_app_id[user_id]":"bob"}`, wrong: true},
		{name: "one name of all, as PHP has it", body: `{"user_app_id_user_id":"bob"}`, wrong: true},
		{name: "a name with a dot on the way", body: `{"uploads.user_app_id":{"user_id":"bob"}}`, wrong: true},
		{name: "a position in a list as a name", body: `{"user_app_id":{"0":{"user_id":"bob"}}}`, wrong: true},
		{name: "capitals", body: `{"USER_APP_ID":{"user_id":"bob"}}`, wrong: true},
		{name: "a capital within", body: `{"user_app_id":{"User_id":"bob"}}`, wrong: true},
		{name: "another name's letters elsewhere", body: `{"user":{"USER_APP_ID":{"user_id":"bob"}}}`},
		{name: "null", body: `{"user_app_id":{"user_id":null}}`},
		{name: "null on the way", body: `{"user_app_id":null}`},
		{name: "a text on the way", body: `{"user_app_id":"bob"}`, wrong: true},
		{name: "a number in a list on the way", body: `{"user_app_id":[1]}`, wrong: true},
		{name: "a number", body: `{"user_app_id":{"user_id":7}}`, want: policy.Named{Owner: nobody, Bare: true}},
		{name: "a list of names", body: `{"user_app_id":{"user_id":["alice"]}}`, want: policy.Named{Owner: nobody, Bare: true}},
		{name: "both, then the owner alone", body: `{"user_app_id":[{"user_id":"bob","app_id":"farm"},{"user_id":"bob"}]}`, want: policy.Named{Owner: "bob", App: "farm", Bare: true}},
		{name: "an app taken back", body: `{"user_app_id":{"user_id":"bob","app_id":"farm","app_id":null}}`, wrong: true},
		{name: "a long s", body: `{"u\u017fer_app_id":{"user_id":"bob"}}`, wrong: true},
		{name: "a dotless i", body: `{"user_app_id":{"user_ıd":"bob"}}`, wrong: true},
		{name: "a wide letter", body: `{"user_app_id":{"ｕser_id":"bob"}}`, wrong: true},
		{name: "a Kelvin sign where no k is watched", body: `{"\u212aey":1}`},
		{name: "a NUL in a name", body: `{"user_app_id\u0000x":{"user_id":"bob"}}`, wrong: true},
		{name: "a prototype", body: `{"__proto__":{"user_app_id":{"user_id":"bob"}}}`, wrong: true},
		{name: "a prototype with an escape, further in", body: `{"a":[{"\u005f_proto__":1}]}`, wrong: true},
		{name: "a constructor", body: `{"constructor":{"prototype":{"user_app_id":{"user_id":"bob"}}}}`, wrong: true},
		{name: "an object for a name", body: `{"user_app_id":{"user_id":{"$ne":"x"}}}`, want: policy.Named{Owner: nobody, Bare: true}},
		{name: "true", body: `{"user_app_id":{"user_id":true}}`, want: policy.Named{Owner: nobody, Bare: true}},
		{name: "cut off", body: `{"user_app_id":{"user_id":"bob"`, wrong: true},
		{name: "cut off behind a comma", body: `{"user_id":"bob",`, wrong: true},
		{name: "cut off behind a colon", body: `{"user_id":`, wrong: true},
		{name: "cut off in a literal", body: `{"a":tru`, wrong: true},
		{name: "cut off in a number", body: `{"a":1.`, wrong: true},
		{name: "cut off in a text", body: `{"a":"\u00`, wrong: true},
		{name: "cut off in a list", body: `[1,`, wrong: true},
		{name: "half a character", body: `{"a":"\ud83d"}`, wrong: true},
		{name: "halves of a character the wrong way round", body: `{"a":"\ude00\ud83d"}`, wrong: true},
		{name: "a whole character", body: `{"a":"\ud83d\ude00"}`},
		{name: "a control character", body: "{\"a\":\"\x01\"}", wrong: true},
		{name: "numbers that JSON hasn't", body: `[01]`, wrong: true},
		{name: "a plus in front", body: `[+1]`, wrong: true},
		{name: "not a number", body: `[NaN]`, wrong: true},
		{name: "a comma too many", body: `[1,]`, wrong: true},
		{name: "another closing bracket", body: `{"a":[1}`, wrong: true},
		{name: "invalid UTF-8", body: "\"\xff\"", wrong: true},
		{name: "no JSON", body: `user_app_id=1`, wrong: true},
		{name: "a byte order mark", body: "\ufeff{}", wrong: true},
		{name: "trailing text", body: `{} x`, wrong: true},
		{name: "single quotes", body: `{'user_app_id':{}}`, wrong: true},
		{name: "a comment", body: `{/* */}`, wrong: true},
		{name: "too deep", body: deep, wrong: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n policy.Named
			err := o.ofJSON(t.Context(), &n, nil, tt.body)
			if (err != nil) != tt.wrong {
				t.Fatalf("error %v", err)
			}
			if err == nil && n != tt.want {
				t.Errorf("names %+v, want %+v", n, tt.want)
			}
		})
	}
}

// frame puts a message in gRPC's frame.
func frame(flag byte, message []byte) []byte {
	head := []byte{flag, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[1:], uint32(len(message)))
	return append(head, message...)
}

func bytesField(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

func userApp(user, app string) []byte {
	return bytesField(1, append(bytesField(1, []byte(user)), bytesField(2, []byte(app))...))
}

func TestMessageNames(t *testing.T) {
	o := testPlaces(t)
	number := protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 7)
	for _, tt := range []struct {
		name      string
		message   []byte
		want      policy.Named
		malformed bool
	}{
		{name: "empty"},
		{name: "other fields", message: append(number, bytesField(5, []byte("x"))...)},
		{name: "names", message: append(number, userApp("bob", "farm")...), want: policy.Named{Owner: "bob", App: "farm"}},
		{name: "in a nested message", message: bytesField(7, bytesField(2, userApp("bob", "farm"))), want: policy.Named{Owner: "bob", Bare: true}},
		{name: "in both", message: append(userApp("alice", "shop"), bytesField(7, bytesField(2, userApp("bob", "shop")))...), want: policy.Named{Owner: "bob", App: "shop", Conflict: true, Bare: true}},
		{name: "merged", message: append(userApp("alice", "shop"), userApp("bob", "shop")...), malformed: true},
		{name: "repeated within", message: bytesField(1, append(bytesField(1, []byte("alice")), bytesField(1, []byte("bob"))...)), malformed: true},
		{name: "the owner again, alone", message: append(userApp("bob", "farm"), bytesField(1, bytesField(1, []byte("bob")))...), malformed: true},
		{name: "an app taken back", message: bytesField(1, append(append(bytesField(1, []byte("bob")), bytesField(2, []byte("farm"))...), bytesField(2, nil)...)), malformed: true},
		{name: "an app taken back by another message", message: append(userApp("bob", "farm"), bytesField(1, bytesField(2, nil))...), malformed: true},
		{name: "a number beyond 32 bits of tag", message: append([]byte{0x8a, 0x80, 0x80, 0x80, 0x10, 0x05}, bytesField(1, []byte("bob"))...), malformed: true},
		{name: "a group where a message should be", message: []byte{0x0b, 0x0a, 0x03, 'b', 'o', 'b', 0x0c}, malformed: true},
		{name: "of another wire type", message: protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 7), malformed: true},
		{name: "behind a scalar of another wire type", message: bytesField(9, userApp("bob", "farm")), malformed: true},
		{name: "cut off", message: userApp("bob", "farm")[:6], malformed: true},
		{name: "field zero", message: []byte{0x02, 0x00}, malformed: true},
		{name: "a group that doesn't end", message: []byte{0x0b}, malformed: true},
		{name: "garbage within", message: bytesField(1, []byte{0xff}), malformed: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := messagesOf(o, frame(0, tt.message))
			_, err := m.next()
			if _, malformed := errors.AsType[*protowalk.MalformedError](err); malformed != tt.malformed || err != nil && !malformed {
				t.Fatalf("error %v", err)
			}
			if err == nil && m.named != tt.want {
				t.Errorf("names %+v, want %+v", m.named, tt.want)
			}
		})
	}
}

func messagesOf(o *Places, body []byte) *Stream {
	return &Stream{
		body: io.NopCloser(bytes.NewReader(body)), schema: o.messages["/pkg.Service/Method"],
		limit: o.limit, check: func(policy.Named) bool { return true },
	}
}

// The forwarded message equals the sent one byte for byte, however it was read.
func TestMessagesAreHandedOnUntouched(t *testing.T) {
	o := testPlaces(t)
	var sent []byte
	for range 50 {
		sent = append(sent, frame(0, append(userApp("alice", "shop"), bytesField(5, bytes.Repeat([]byte("x"), 3000))...))...)
	}
	for _, size := range []int{1, 7, 512, 1 << 20} {
		m := messagesOf(o, sent)
		var got bytes.Buffer
		if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, m, make([]byte, size)); err != nil || !bytes.Equal(got.Bytes(), sent) {
			t.Errorf("by %d bytes: %v, %d of %d bytes", size, err, got.Len(), len(sent))
		}
	}
}

func TestMessagesBreakOff(t *testing.T) {
	o := testPlaces(t)
	o.limit = 64
	good := frame(0, userApp("alice", "shop"))
	for _, tt := range []struct {
		name string
		next []byte
		want error
	}{
		{"names another", frame(0, userApp("bob", "shop")), errForeign},
		{"compressed", frame(1, userApp("alice", "shop")), errCompressed},
		{"too large", frame(0, make([]byte, 65)), errTooLarge},
		{"too large by its head alone", []byte{0, 0xff, 0xff, 0xff, 0xff}, errTooLarge},
		{"cut off in its head", []byte{0, 0, 0}, io.ErrUnexpectedEOF},
		{"cut off", frame(0, userApp("alice", "shop"))[:9], io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := messagesOf(o, append(bytes.Clone(good), tt.next...))
			m.check = func(n policy.Named) bool { return n.Owner == "alice" }
			got, err := io.ReadAll(m)
			if err != tt.want || !bytes.Equal(got, good) {
				t.Errorf("read %q, error %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestAgreement(t *testing.T) {
	alice := &policy.Caller{Kind: policy.PAT, UserID: "alice"}
	key := &policy.Caller{Kind: policy.AppKey, UserID: "alice", AppID: "shop"}
	for _, tt := range []struct {
		name         string
		caller       *policy.Caller
		first, later policy.Named
		want         bool
	}{
		{"nothing, nothing", alice, policy.Named{}, policy.Named{}, true},
		{"the same", alice, policy.Named{Owner: "bob", App: "farm"}, policy.Named{Owner: "bob", App: "farm"}, true},
		{"nothing more", alice, policy.Named{Owner: "bob", App: "farm"}, policy.Named{}, true},
		{"another owner", alice, policy.Named{Owner: "bob", App: "farm"}, policy.Named{Owner: "carol", App: "farm"}, false},
		{"another app", alice, policy.Named{Owner: "bob", App: "farm"}, policy.Named{App: "barn"}, false},
		{"her own app, later", alice, policy.Named{}, policy.Named{Owner: "alice", App: "shop"}, true},
		{"another's, later", alice, policy.Named{}, policy.Named{Owner: "bob", App: "farm"}, false},
		{"me is alice", alice, policy.Named{Owner: "alice"}, policy.Named{Me: true}, true},
		{"me is not bob", alice, policy.Named{Owner: "bob", App: "farm"}, policy.Named{Me: true}, false},
		{"the key's app, later", key, policy.Named{}, policy.Named{App: "shop"}, true},
		{"another app, later", key, policy.Named{}, policy.Named{App: "barn"}, false},
		{"the same owner without the app", alice, policy.Named{Owner: "bob", App: "farm"}, policy.Named{Owner: "bob", Bare: true}, false},
		{"two in one", alice, policy.Named{}, policy.Named{Owner: "alice", Conflict: true}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := policy.Agree(tt.caller, tt.first, tt.later); got != tt.want {
				t.Errorf("agrees: %v", got)
			}
		})
	}
}

// A body that was read to be looked into is handed on as it was, whatever was
// found.
func TestBodiesAreHandedOnUntouched(t *testing.T) {
	o := testPlaces(t)
	o.limit = 100
	for _, body := range []string{`{"a":1}`, `{"user_app_id":{"user_id":"bob"}}  `, "no JSON", strings.Repeat("x", 500)} {
		r := httptest.NewRequest(http.MethodPost, "/v2/inputs", strings.NewReader(body))
		r.ContentLength = -1
		var n policy.Named
		o.ReadBody(httptest.NewRecorder(), r, &n, nil)
		if got, err := io.ReadAll(r.Body); err != nil || string(got) != body {
			t.Errorf("sent %q, handed on %q, %v", body, got, err)
		}
	}
}

// Whatever Go's own parser takes for the owner is among the names.
func FuzzBodyNames(f *testing.F) {
	o := testPlaces(f)
	for _, seed := range []string{
		`{"user_app_id":{"user_id":"bob","app_id":"farm"}}`, `{"User_App_Id":{"USER_ID":"bob"}}`,
		`{"u\u017fer_app_id":{"u\u017fer_id":"bob"}}`,
		`[1,{"a":[{}]},null]`, `{"user_app_id":{"user_id":"a"}}{"user_app_id":{"user_id":"b"}}`, `"x"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var n policy.Named
		if o.ofJSON(t.Context(), &n, nil, string(text)) != nil {
			return
		}
		var seen struct {
			UserAppID struct {
				UserID string `json:"user_id"`
			} `json:"user_app_id"`
		}
		if json.NewDecoder(bytes.NewReader(text)).Decode(&seen) != nil {
			return
		}
		if id := seen.UserAppID.UserID; id != "" && id != n.Owner && !n.Conflict && (id != policy.Me || !n.Me) {
			t.Fatalf("the upstream sees %q, and the gate %+v", id, n)
		}
	})
}

// Whatever is read of a stream was sent in that order, and nothing of a
// message that was not looked into.
func FuzzMessages(f *testing.F) {
	o := testPlaces(f)
	f.Add(frame(0, userApp("bob", "farm")))
	f.Add(append(frame(0, userApp("alice", "shop")), frame(1, nil)...))
	f.Add([]byte{0, 0, 0, 0, 1, 0x0b})
	f.Fuzz(func(t *testing.T, body []byte) {
		m := messagesOf(o, body)
		m.check = func(n policy.Named) bool {
			return n == policy.Named{} || n == policy.Named{Owner: "alice", App: "shop"}
		}
		got, err := io.ReadAll(m)
		if !bytes.HasPrefix(body, got) || err == nil && len(got) != len(body) {
			t.Fatalf("of %q it handed on %q, %v", body, got, err)
		}
		if bytes.Contains(got, userApp("bob", "farm")) && bytes.Equal(body, frame(0, userApp("bob", "farm"))) {
			t.Fatal("another's message was handed on")
		}
	})
}
