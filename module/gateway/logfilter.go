package gateway

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/gateway/source"
)

// loggedFields are the fields of Caddy's log entries that show a credential.
// Caddy redacts Authorization and cookies by itself.
type loggedFields source.Logged

// add adds the fields that show credentials of a gate.
func (f *loggedFields) add(g *Gate) {
	shown := g.sources.Logged()
	for _, name := range shown.Headers {
		if !slices.Contains([]string{"Proxy-Authorization", "Cookie"}, name) && !slices.Contains(f.Headers, name) {
			f.Headers = append(f.Headers, name)
		}
	}
	for _, name := range shown.Queries {
		if !slices.Contains(f.Queries, name) {
			f.Queries = append(f.Queries, name)
		}
	}
}

// ManagementGate reads credentials from where api_keys_manage does: a session
// may stand in the header in which Clarifai's clients send one.
func ManagementGate() *Gate { return &Gate{sources: source.Set{source.Session(clarifaiSession)}} }

// LogFilter is the format of a log that shows no credential of gates that are
// built, in the Caddyfile's words; empty where no log would show one.
func LogFilter(gates ...*Gate) string {
	var f loggedFields
	for _, g := range gates {
		f.add(g)
	}
	return f.filter()
}

func (f *loggedFields) filter() string {
	if len(f.Headers)+len(f.Queries) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("format filter {\n\tfields {\n")
	for _, name := range f.Headers {
		b.WriteString("\t\trequest>headers>" + name + " delete\n")
	}
	if len(f.Queries) > 0 {
		b.WriteString("\t\trequest>uri query {\n")
		for _, name := range f.Queries {
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
func (f *loggedFields) shownBy(s *logSink) bool {
	for _, name := range f.Headers {
		if !s.hidden("request>headers>" + name) {
			return true
		}
	}
	for _, name := range f.Queries {
		if !s.hidden("request>uri") && !s.queries["request>uri?"+name] {
			return true
		}
	}
	return false
}

// warnOfLogs names the logs that would show credentials of a site, with the
// filter to paste. Without an access log only the entries of failed requests
// show a request's header, which is said without a warning.
func (g *Gate) warnOfLogs(ctx caddy.Context, site Site) {
	var fields loggedFields
	fields.add(g)
	if fields.filter() == "" {
		return
	}
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	access, errors := accessLoggers(server, site.Hosts)
	var showing, failing []string
	for _, sink := range logSinks(ctx) {
		switch {
		case !fields.shownBy(&sink):
		case slices.ContainsFunc(access, sink.takes):
			showing = append(showing, sink.name)
		case slices.ContainsFunc(errors, sink.takes):
			failing = append(failing, sink.name)
		}
	}
	slices.Sort(showing)
	slices.Sort(failing)
	details := func(logs []string) []zap.Field {
		return []zap.Field{zap.Strings("logs", logs), zap.String("filter", fields.filter())} // the logger names the site
	}
	if len(showing) > 0 {
		g.logger.Warn("access logs would show credentials that are sent outside Authorization; add this filter to each of these logs", details(showing)...)
	}
	if len(failing) > 0 {
		g.logger.Info("entries about failed requests show credentials that are sent outside Authorization; this filter hides them", details(failing)...)
	}
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
