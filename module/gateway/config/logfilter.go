package config

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway/source"
)

// LogFields are the fields of Caddy's log entries that show a credential.
// Caddy redacts Authorization and cookies by itself.
type LogFields struct{ headers, queries []string }

// Add adds the fields that show the credentials of a site.
func (f *LogFields) Add(shown source.Logged) {
	for _, name := range shown.Headers {
		if !slices.Contains([]string{"Proxy-Authorization", "Cookie"}, name) && !slices.Contains(f.headers, name) {
			f.headers = append(f.headers, name)
		}
	}
	for _, name := range shown.Queries {
		if !slices.Contains(f.queries, name) {
			f.queries = append(f.queries, name)
		}
	}
}

// Filter returns the format of a log that shows none of the fields, in the
// Caddyfile's words; empty where there are no fields.
func (f *LogFields) Filter() string {
	if len(f.headers)+len(f.queries) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("format filter {\n\tfields {\n")
	for _, name := range f.headers {
		b.WriteString("\t\trequest>headers>" + name + " delete\n")
	}
	if len(f.queries) > 0 {
		b.WriteString("\t\trequest>uri query {\n")
		for _, name := range f.queries {
			b.WriteString("\t\t\tdelete " + caddyfileWord(name) + "\n")
		}
		// The page that a browser comes from may have been asked for with the
		// credential too.
		b.WriteString("\t\t}\n\t\trequest>headers>Referer delete\n")
	}
	b.WriteString("\t}\n}")
	return b.String()
}

// caddyfileWord quotes a text that the Caddyfile would take for several words.
func caddyfileWord(text string) string {
	if tokens, err := caddyfile.Tokenize([]byte(text), "word"); err == nil && len(tokens) == 1 && tokens[0].Text == text && !strings.ContainsAny(text, "{}") {
		return text
	}
	return "`" + text + "`"
}

// shownBy reports whether a log would show one of the fields.
func (f *LogFields) shownBy(s *logSink) bool {
	for _, name := range f.headers {
		if !s.hidden("request>headers>" + name) {
			return true
		}
	}
	for _, name := range f.queries {
		if !s.hidden("request>uri") && !s.queries["request>uri?"+name] {
			return true
		}
	}
	return false
}

// ShownIn names the logs of the configuration that is being loaded that would
// show one of the fields: those of all requests of a site with these hosts, and
// those of failed requests alone.
func (f *LogFields) ShownIn(ctx caddy.Context, hosts []string) (access, failures []string) {
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	all, failed := accessLoggers(server, hosts)
	for _, sink := range logSinks(ctx) {
		switch {
		case !f.shownBy(&sink):
		case slices.ContainsFunc(all, sink.takes):
			access = append(access, sink.name)
		case slices.ContainsFunc(failed, sink.takes):
			failures = append(failures, sink.name)
		}
	}
	slices.Sort(access)
	slices.Sort(failures)
	return access, failures
}

// accessLoggers are the names of the loggers that requests of a site go to, and
// those of its failed requests.
func accessLoggers(server *caddyhttp.Server, hosts []string) (access, errors []string) {
	const accessLog, errorLog = "http.log.access", "http.log.error"
	if server == nil || server.Logs == nil {
		return nil, []string{errorLog}
	}
	logs := server.Logs
	named := func(names ...string) {
		for _, name := range names {
			suffix := ""
			if name != "" {
				suffix = "." + name
			}
			access, errors = append(access, accessLog+suffix), append(errors, errorLog+suffix)
		}
	}
	for _, site := range hosts {
		host := hostOfSite(site)
		names, mapped := logs.LoggerNames[strings.ToLower(host)]
		for known, of := range logs.LoggerNames {
			if !mapped && matchesHost(known, host) {
				names, mapped = of, true
			}
		}
		switch {
		case slices.Contains(logs.SkipHosts, host):
			errors = append(errors, errorLog)
		case mapped:
			named(names...)
		case host == "" && !logs.SkipUnmappedHosts:
			// A site of every host: requests may have any of the names.
			named(logs.DefaultLoggerName)
			for _, of := range logs.LoggerNames {
				named(of...)
			}
		case !logs.SkipUnmappedHosts:
			named(logs.DefaultLoggerName)
		default:
			errors = append(errors, errorLog)
		}
	}
	return access, errors
}

// matchesHost reports whether a name with wildcards for labels is a host's.
func matchesHost(pattern, host string) bool {
	p, h := strings.Split(strings.ToLower(pattern), "."), strings.Split(strings.ToLower(host), ".")
	return slices.EqualFunc(p, h, func(label, of string) bool { return label == "*" || label == of })
}
