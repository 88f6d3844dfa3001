package config

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/logging"
)

// A handler can't ask Caddy for the configuration around it, nor for the logs
// that will be written. Both are needed for warnings alone, so what is read
// here of Caddy's private fields may be missing in another version; then there
// is no warning.

// BeingLoaded is the http app's configuration (JSON) while its handlers are
// provisioned, nil where it can't be read.
func BeingLoaded(ctx caddy.Context) json.RawMessage {
	apps := privateField(reflect.ValueOf(ctx), "cfg", "AppsRaw")
	if apps.Kind() != reflect.Map {
		return nil
	}
	raw := apps.MapIndex(reflect.ValueOf("http"))
	if !raw.IsValid() || raw.Kind() != reflect.Slice || raw.Type().Elem().Kind() != reflect.Uint8 {
		return nil
	}
	return json.RawMessage(strings.Clone(string(raw.Bytes())))
}

// logSink is one of the configuration's logs.
type logSink struct {
	name             string
	include, exclude []string
	// hides are the fields that its encoder removes, replaces or hashes;
	// queries are the fields of the query.
	hides, queries map[string]bool
}

// logSinks are the logs of the configuration that is being loaded, except those
// that are thrown away.
func logSinks(ctx caddy.Context) (sinks []logSink) {
	logs := privateField(reflect.ValueOf(ctx), "cfg", "Logging", "Logs")
	if logs.Kind() != reflect.Map {
		return nil
	}
	for entries := logs.MapRange(); entries.Next(); {
		log := privateField(entries.Value())
		if writer := privateField(log, "writerOpener"); writer.IsValid() && writer.Type() == reflect.TypeFor[caddy.DiscardWriter]() {
			continue
		}
		s := logSink{
			name: entries.Key().String(), include: texts(privateField(log, "Include")), exclude: texts(privateField(log, "Exclude")),
			hides: map[string]bool{}, queries: map[string]bool{},
		}
		// Encoders wrap one another.
		for encoder := privateField(log, "encoder"); encoder.IsValid() && encoder.Kind() == reflect.Struct; encoder = privateField(encoder, "wrapped") {
			s.filters(privateField(encoder, "Fields"))
		}
		sinks = append(sinks, s)
	}
	return sinks
}

// filters adds what a filter encoder's fields hide.
func (s *logSink) filters(fields reflect.Value) {
	if fields.Kind() != reflect.Map {
		return
	}
	for entries := fields.MapRange(); entries.Next(); {
		name, filter := entries.Key().String(), privateField(entries.Value())
		switch filter.Type() {
		case reflect.TypeFor[logging.DeleteFilter](), reflect.TypeFor[logging.ReplaceFilter](), reflect.TypeFor[logging.HashFilter]():
			s.hides[name] = true
		case reflect.TypeFor[logging.QueryFilter]():
			actions := privateField(filter, "Actions")
			for i := range actions.Len() {
				s.queries[name+"?"+privateField(actions.Index(i), "Parameter").String()] = true
			}
		}
	}
}

// takes reports whether a log takes the entries of a logger, as Caddy decides
// it: the longest name counts.
func (s *logSink) takes(logger string) bool {
	longest := func(names []string) (n int) {
		for _, name := range names {
			if name == "*" || strings.HasPrefix(logger+".", name+".") {
				n = max(n, len(name))
			}
		}
		return n
	}
	accepts, rejects := longest(s.include), longest(s.exclude)
	return accepts > rejects || len(s.include) == 0 && rejects == 0
}

// hidden reports whether a field, or all that it is in, is hidden.
func (s *logSink) hidden(field string) bool {
	for {
		if s.hides[field] {
			return true
		}
		end := strings.LastIndexByte(field, '>')
		if end < 0 {
			return false
		}
		field = field[:end]
	}
}

// privateField follows pointers, interfaces and fields; the result is the zero
// value where there is no such field.
func privateField(v reflect.Value, names ...string) reflect.Value {
	follow := func() {
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
			v = v.Elem()
		}
	}
	follow()
	for _, name := range names {
		if v.Kind() != reflect.Struct {
			return reflect.Value{}
		}
		v = v.FieldByName(name)
		follow()
	}
	return v
}

func texts(list reflect.Value) (all []string) {
	if list.Kind() != reflect.Slice {
		return nil
	}
	for i := range list.Len() {
		all = append(all, list.Index(i).String())
	}
	return all
}
