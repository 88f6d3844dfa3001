package main

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	o, err := parseOptions([]string{"-pairs", "gate/none,none/stock", "-protocols", "h1,h2", "-requests", "get,grpc"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range o.comparisons {
		names = append(names, c.String())
	}
	want := []string{
		"gate/none h1 get", "gate/none h2 get", "gate/none h2 grpc",
		"none/stock h1 get", "none/stock h2 get", "none/stock h2 grpc",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	for _, args := range []string{
		"-pairs gate", "-pairs gate/nobody", "-protocols h3", "-requests put", "-rounds 5", "-round 1ms", "-keys 10",
		"-connections 0", "-rate -1", "-many 1", "-used 0", "-pairs many/many", "more",
	} {
		if _, err := parseOptions(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

// A contender that is missing is named, and so is the reason.
func TestMissingContenders(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	o, err := parseOptions([]string{"-requests", "get"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"many/gate h1 get: many needs -many",
		"gate/nginx-map h1 get: nginx is not on the PATH", "gate/nginx-auth-request h1 get: nginx is not on the PATH",
		"gate/haproxy-map h1 get: haproxy is not on the PATH",
	}
	if !slices.Equal(o.without, want) || len(o.comparisons) != 8 {
		t.Errorf("got %d comparisons and %v, want 8 and %v", len(o.comparisons), o.without, want)
	}
	var list bytes.Buffer
	if err := writeContenders(&list, o); err != nil || strings.Count(list.String(), "(missing: ") != 6 {
		t.Errorf("%v: %s", err, &list)
	}
}

func TestReport(t *testing.T) {
	e := estimateOf([]float64{1.5, 1, 2})
	side := figures{Name: "gate", Processor: e, PerSecond: e, Memory: memory{Resident: 3 << 20, Anonymous: 1 << 20}}
	r := report{Results: []*result{{Left: side, Right: side, Protocol: http1, Request: get, Processor: e}}, Failed: []string{"a reason"}}
	var text bytes.Buffer
	if err := r.write(&text, options{rounds: 3, without: []string{"another reason"}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| gate / gate | h1 | get | **1.500** | 1.000 to 2.000 | 1.5 | 1.5 |\n", "| gate / gate | h1 | get | 3.0 | 1.0 | 3.0 | 1.0 |\n",
		"Not compared:\n\n- another reason\n", "Failed:\n\n- a reason\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), "fixed rate") {
		t.Errorf("there are times that weren't measured:\n%s", &text)
	}
	text.Reset()
	if err := r.write(&text, options{json: true}); err != nil || !json.Valid(text.Bytes()) || strings.Contains(text.String(), "p99") {
		t.Errorf("%v: %s", err, &text)
	}
}
