package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// options are those of the command line.
type options struct {
	comparisons []comparison
	// without has a line for each comparison that isn't run.
	without     []string
	protocols   []protocol
	requests    []requestKind
	rounds      int
	round       time.Duration
	keys        int
	many        int
	used        int
	connections int
	rate        float64
	latency     bool
	caddy       string
	before      string
	stock       string
	profile     string
	json, list  bool
	// given are the options that the command line has.
	given map[string]bool
}

// defaultPairs are the comparisons that are run if none are named.
const defaultPairs = "gate/none,none/stock,gate/stock,pat/none,collaborator/none,bad-key/gate,missing-scope/gate," +
	"many/gate,gate/forward-auth,gate/nginx-map,gate/nginx-auth-request,gate/haproxy-map"

// parseOptions reads the command line.
func parseOptions(args []string, usage io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	pairs := flags.String("pairs", defaultPairs, "comparisons, each two contenders with / between")
	protocolNames := flags.String("protocols", "h1", "protocols: h1, h1-tls, h2, h2c")
	requestNames := flags.String("requests", "get,post", "requests: get, post, grpc")
	flags.IntVar(&o.rounds, "rounds", 12, "rounds of each comparison, 6 or more")
	flags.DurationVar(&o.round, "round", time.Second, "length of a round")
	flags.IntVar(&o.keys, "keys", 10_000, "keys in the store, 100 or more")
	flags.IntVar(&o.many, "many", 0, "keys in the store of the contender many, 100 or more")
	flags.IntVar(&o.used, "used", 10_000, "keys that a load sends in turn, at most")
	flags.IntVar(&o.connections, "connections", 16, "connections of each load; over HTTP/2 a quarter of them, with 4 streams each")
	flags.Float64Var(&o.rate, "rate", 0, "requests a second at which times are measured (default 60 % of what the slower contender reaches)")
	flags.BoolVar(&o.latency, "latency", true, "measure times at a fixed rate")
	flags.StringVar(&o.caddy, "caddy", "", "binary with the plug-in (default built from ./cmd/caddy)")
	flags.StringVar(&o.before, "before", "", "binary of the contender before")
	flags.StringVar(&o.stock, "stock", "", "binary of stock Caddy (default built in the same versions)")
	flags.StringVar(&o.profile, "profile", "", "write a CPU profile of the gate under load to this file, and compare nothing")
	flags.BoolVar(&o.json, "json", false, "print JSON, with the figures of each round")
	flags.BoolVar(&o.list, "list", false, "list the contenders")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.given = map[string]bool{}
	flags.Visit(func(f *flag.Flag) { o.given[f.Name] = true })
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.protocols, err = parseList(*protocolNames, protocols); err != nil {
		return o, fmt.Errorf("-protocols: %w", err)
	}
	if o.requests, err = parseList(*requestNames, requestKinds); err != nil {
		return o, fmt.Errorf("-requests: %w", err)
	}
	if err := o.check(); err != nil {
		return o, err
	}
	return o, o.pair(*pairs)
}

// check refuses numbers of which nothing can be learned.
func (o *options) check() error {
	switch {
	case o.rounds < 6:
		return fmt.Errorf("-rounds %d is too few for an interval; give 6 or more", o.rounds)
	case o.round < 100*time.Millisecond:
		return fmt.Errorf("-round %v is too short; give 100ms or more", o.round)
	case o.keys < 100:
		return fmt.Errorf("-keys %d is too few; give 100 or more", o.keys)
	case o.given["many"] && o.many < 100:
		return fmt.Errorf("-many %d is too few; give 100 or more", o.many)
	case o.used < 1:
		return fmt.Errorf("-used %d is too few; give 1 or more", o.used)
	case o.connections < 1:
		return fmt.Errorf("-connections %d is too few; give 1 or more", o.connections)
	case o.rate < 0:
		return fmt.Errorf("-rate %g is negative", o.rate)
	}
	return nil
}

// pair lists the comparisons of all pairs in all scenarios, those that can be run
// and those that can't.
func (o *options) pair(pairs string) error {
	for pair := range strings.SplitSeq(pairs, ",") {
		leftName, rightName, ok := strings.Cut(pair, "/")
		if !ok {
			return fmt.Errorf("-pairs: %q is not a pair such as gate/none", pair)
		}
		left, err := findContender(leftName)
		if err != nil {
			return fmt.Errorf("-pairs: %w", err)
		}
		right, err := findContender(rightName)
		if err != nil {
			return fmt.Errorf("-pairs: %w", err)
		}
		if left.many && right.many {
			return fmt.Errorf("-pairs: %q: there is one store of many keys, which has one gate at a time", pair)
		}
		for _, s := range scenarios(o.protocols, o.requests) {
			c := comparison{left, right, s}
			why := left.missing(s, *o)
			if why == "" {
				why = right.missing(s, *o)
			}
			if why != "" {
				o.without = append(o.without, fmt.Sprintf("%v: %s", c, why))
				continue
			}
			o.comparisons = append(o.comparisons, c)
		}
	}
	return nil
}
