package source_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gateway/source"
)

// This is step 3 of the contract once more, in regular expressions: slow, and
// close to its words. The gate's own reader is compared with it.
var (
	// (?i) would take the Kelvin sign for a k.
	refScheme = regexp.MustCompile(`(?:^|,)[ \t]*(?:[Kk][Ee][Yy]|[Bb][Ee][Aa][Rr][Ee][Rr])(?:[ \t,]|$)`)
	// Scheme, one space, one token, which follows below.
	refLine  = regexp.MustCompile(`(?s)^(?:[Kk][Ee][Yy]|[Bb][Ee][Aa][Rr][Ee][Rr]) (.*)$`)
	refToken = regexp.MustCompile(`^[^\x00-\x20\x7f,]{1,512}$`)
)

// refCredential is what a request presents. one is all that stands in places
// where a credential may; of none and of several there is nothing to read.
func refCredential(authorization, session, header []string, query string) (text string, isSession bool, want error) {
	if len(authorization) > 1 {
		return "", false, source.ErrSeveral
	}
	type place struct {
		text    string
		session bool
	}
	var all []place
	for _, line := range authorization {
		if !refScheme.MatchString(line) {
			continue
		}
		parts := refLine.FindStringSubmatch(line)
		if parts == nil {
			return "", false, source.ErrMalformed
		}
		all = append(all, place{parts[1], false})
	}
	for _, value := range session {
		all = append(all, place{value, true})
	}
	for _, value := range header {
		all = append(all, place{value, false})
	}
	for _, pair := range strings.Split(query, "&") {
		parts := strings.SplitN(pair, "=", 2)
		if name, err := url.QueryUnescape(parts[0]); err != nil || name != "api_key" {
			continue
		}
		value, err := url.QueryUnescape(strings.Join(parts[1:], ""))
		if err != nil {
			return "", false, source.ErrMalformed
		}
		all = append(all, place{value, false})
	}
	switch {
	case len(all) == 0:
		return "", false, source.ErrMissing
	case len(all) > 1:
		return "", false, source.ErrSeveral
	}
	// The regular expression takes what isn't UTF-8 for one character a byte;
	// no byte of it is one of those that are refused.
	if !refToken.MatchString(latin1Text(all[0].text)) {
		return "", false, source.ErrMalformed
	}
	return all[0].text, all[0].session, nil
}

// latin1Text has a character for each byte.
func latin1Text(text string) string {
	var b strings.Builder
	for i := range len(text) {
		b.WriteRune(rune(text[i]))
	}
	return b.String()
}

// FuzzCredential has header lines and a query read by the gate and by the
// reference. Lines of one header are parted by \n, and no text is no line.
func FuzzCredential(f *testing.F) {
	sources := source.Set{source.Authorization(), source.Session("X-Clarifai-Session-Token")}
	for _, s := range [][2]string{{"header", "x-api-key"}, {"query", "api_key"}} {
		one, err := source.New(s[0], s[1])
		if err != nil {
			f.Fatal(err)
		}
		sources = append(sources, one)
	}
	const key = "cak_0123456789AB_0123456789ABCDEFGHIJKLMNOPQRSTUV012345"
	for _, line := range []string{
		"", "Key " + key, "Bearer " + key, "kEY " + key, "bEARER " + key, "Key  " + key, "Key\t" + key, "Key " + key + " ", "Key", "Key ", "Bearer,", "Key,x",
		"Key " + key + "," + key, "Key " + key + ", Bearer x", "Basic eDp5", "Basic eDp5, Key " + key, "KeyX " + key, " Key " + key, "Key\n" + key, "Basic a\nKey " + key,
		"Bearer " + strings.Repeat("a", 512), "Bearer " + strings.Repeat("a", 513), "\u212aey " + key, "Key \u00e9\xff", "Key \x7f", "Key a\x00", "Key a=b", "=Key a",
	} {
		f.Add(line, "", "", "")
		f.Add(line, key, "", "")
		f.Add(line, "", key, "")
		f.Add(line, "", "", "api_key="+key)
		f.Add("", line, "", "")
		f.Add("", "", line, "")
	}
	for _, query := range []string{
		"api_key", "api_key=", "api_key=a&api_key=b", "api%5Fkey=a", "api%5fkey=a&x", "API_KEY=a", "api_key=%zz", "api_key%zz=a", "api_key=a+b", "api_key=a%2Cb",
		"api_key=a%00", "api_key==a", "&&api_key=a&", "+api_key=a", "api_key+=a", "api_key=" + strings.Repeat("%61", 512), "x=api_key=a",
	} {
		f.Add("", "", "", query)
		f.Add("Key a", "", "", query)
	}
	f.Fuzz(func(t *testing.T, authorization, session, header, query string) {
		lines := func(text string) []string {
			if text == "" {
				return nil
			}
			return strings.Split(text, "\n")
		}
		r := httptest.NewRequest(http.MethodGet, "/x", nil)
		r.URL.RawQuery = query
		for name, text := range map[string]string{"Authorization": authorization, "X-Clarifai-Session-Token": session, "X-Api-Key": header} {
			if l := lines(text); l != nil {
				r.Header[name] = l
			}
		}
		got, refused := sources.Find(r)
		text, isSession, want := refCredential(lines(authorization), lines(session), lines(header), query)
		if refused != want || refused == nil && (got.Text != text || got.Session != isSession) {
			t.Fatalf("read as %+v, %+v; to the contract it is %q (session: %v), %+v", got, refused, text, isSession, want)
		}

		// A stripped credential is no longer read, and nothing else is gone.
		sources.Strip(r, nil)
		if _, refused := sources.Find(r); refused != source.ErrMissing && len(lines(authorization)) < 2 {
			t.Errorf("stripped, it is %+v: %q %q", refused, r.Header, r.URL.RawQuery)
		}
		// A credential of our form, and the one in use, go wherever they stand.
		holds := credential.Contains(authorization) || refused == nil && strings.Contains(authorization, got.Text)
		if len(lines(authorization)) > 0 && !holds && !strings.Contains(strings.ToLower(authorization), "key") &&
			!strings.Contains(strings.ToLower(authorization), "bearer") && len(r.Header["Authorization"]) != len(lines(authorization)) {
			t.Errorf("another's Authorization is gone: %q", authorization)
		}
	})
}
