package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// saturation is the share of the slower contender's largest rate at which
	// times are measured, and saturationRounds how long that rate is looked for.
	saturation       = 0.6
	saturationRounds = 3
	// turns is how many turns a contender has in a round in which times are
	// measured.
	turns = 10
)

// side is a contender of a comparison, with its load.
type side struct {
	contender
	instance *instance
	load     *load
	pids     []int
}

// comparison compares two contenders in a scenario.
type comparison struct {
	left, right contender
	scenario    scenario
}

func (c comparison) String() string {
	return fmt.Sprintf("%s/%s %s %s", c.left.name, c.right.name, c.scenario.protocol, c.scenario.request)
}

// figures are what was measured of a contender.
type figures struct {
	Name string `json:"name"`
	// Processor is the processor time of all processes per request, in
	// microseconds.
	Processor estimate `json:"processor_us"`
	// PerSecond is the rate of responses while the other contender was loaded
	// too.
	PerSecond estimate `json:"per_second"`
	Memory    memory   `json:"memory_bytes"`
	// Median and P99 are times of responses at Rate, in microseconds.
	Median estimate `json:"p50_us,omitzero"`
	P99    estimate `json:"p99_us,omitzero"`
}

// result is what a comparison found. Its ratios are left to right, round by
// round.
type result struct {
	Left      figures     `json:"left"`
	Right     figures     `json:"right"`
	Protocol  protocol    `json:"protocol"`
	Request   requestKind `json:"request"`
	Processor estimate    `json:"processor_ratio"`
	// Rate is the requests a second at which times were measured, 0 if they
	// weren't.
	Rate   float64  `json:"rate,omitzero"`
	Median estimate `json:"p50_ratio,omitzero"`
	P99    estimate `json:"p99_ratio,omitzero"`
}

// compare runs a comparison.
func (b *bench) compare(c comparison) (r *result, err error) {
	left, err := b.start(c.left, c.scenario)
	if err != nil {
		return nil, err
	}
	defer b.finish(left)
	right, err := b.start(c.right, c.scenario)
	if err != nil {
		return nil, err
	}
	defer b.finish(right)
	r = &result{Left: figures{Name: c.left.name}, Right: figures{Name: c.right.name}, Protocol: c.scenario.protocol, Request: c.scenario.request}
	if err := b.measureProcessor(r, left, right); err != nil {
		return nil, err
	}
	if r.Left.Memory, err = memoryOf(left.pids); err != nil {
		return nil, err
	}
	if r.Right.Memory, err = memoryOf(right.pids); err != nil {
		return nil, err
	}
	if b.options.latency {
		return r, b.measureTimes(r, left, right)
	}
	return r, nil
}

// start starts a contender and connects its load.
func (b *bench) start(c contender, s scenario) (*side, error) {
	folder, err := b.newFolder(c.name)
	if err != nil {
		return nil, err
	}
	instance, err := c.start(b, folder)
	if err != nil {
		return nil, err
	}
	side := &side{contender: c, instance: instance}
	if c.checks {
		err = b.checkRefusal(side, s)
	}
	if err == nil {
		side.load, err = b.connect(side, s, b.options.connections)
	}
	if err == nil {
		side.pids, err = instance.pids()
	}
	if err != nil {
		b.finish(side)
		return nil, err
	}
	return side, nil
}

// keysOf returns the store with the keys of a contender's load.
func (b *bench) keysOf(c contender) *keyStore {
	if c.many {
		return b.many
	}
	return b.few
}

// connect connects a load to a running contender.
func (b *bench) connect(side *side, s scenario, connections int) (*load, error) {
	requests := newRequests(s, b.keysOf(side.contender).used[side.sent])
	return newLoad(s, side.instance.ports.address(s), b.certificate, side.expected(s), requests, connections)
}

// finish ends a contender and its load.
func (b *bench) finish(s *side) {
	if s.load != nil {
		s.load.close()
	}
	b.stop(s.instance)
}

// sample is a reading of what a contender has used and done.
type sample struct {
	processor time.Duration
	answered  int
	at        time.Time
}

func (s *side) sample() (sample, error) {
	used, err := processorTime(s.pids)
	return sample{processor: used, answered: s.load.count(), at: time.Now()}, err
}

// measureProcessor loads both contenders at the same time, without a pause, and
// reads what each has used in each round.
func (b *bench) measureProcessor(r *result, left, right *side) error {
	sides := []*side{left, right}
	for _, s := range sides {
		s.load.begin()
	}
	var processor, perSecond [2][]float64
	if err := b.warmUp(sides); err != nil {
		return err
	}
	var last [2]sample
	for round := range b.options.rounds + 1 {
		for i, s := range sides {
			now, err := s.sample()
			if err != nil {
				return err
			}
			if round > 0 {
				n := float64(now.answered - last[i].answered)
				if n == 0 {
					return fmt.Errorf("%s answered nothing in a round", s.name)
				}
				processor[i] = append(processor[i], micros(now.processor-last[i].processor)/n)
				perSecond[i] = append(perSecond[i], n/now.at.Sub(last[i].at).Seconds())
			}
			last[i] = now
		}
		if round < b.options.rounds {
			if err := b.pause(sides...); err != nil {
				return err
			}
		}
	}
	r.Processor = estimateOf(ratios(processor[0], processor[1]))
	r.Left.Processor, r.Right.Processor = estimateOf(processor[0]), estimateOf(processor[1])
	r.Left.PerSecond, r.Right.PerSecond = estimateOf(perSecond[0]), estimateOf(perSecond[1])
	return errors.Join(left.load.end(), right.load.end())
}

// warmUp waits until the contenders have answered each request of their loads
// twice, so that what they cache is cached.
func (b *bench) warmUp(sides []*side) error {
	for {
		if err := b.pause(sides...); err != nil {
			return err
		}
		if !slices.ContainsFunc(sides, func(s *side) bool { return s.load.count() < 2*len(s.load.requests) }) {
			return nil
		}
	}
}

// pause waits for the length of a round, unless a load fails.
func (b *bench) pause(sides ...*side) error {
	end := time.NewTimer(b.options.round)
	defer end.Stop()
	failed := make([]<-chan struct{}, 2)
	for i, s := range sides {
		failed[i] = s.load.failed
	}
	select {
	case <-end.C:
		return nil
	case <-failed[0]:
		return fmt.Errorf("%s: %w", sides[0].name, sides[0].load.failure())
	case <-failed[1]:
		return fmt.Errorf("%s: %w", sides[1].name, sides[1].load.failure())
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}

// measureTimes loads the contenders in turns at the same rate.
func (b *bench) measureTimes(r *result, left, right *side) error {
	sides := []*side{left, right}
	r.Rate = b.options.rate
	if r.Rate == 0 {
		slower, err := b.slowerRate(sides)
		if err != nil {
			return err
		}
		r.Rate = saturation * slower
	}
	var medians, p99s [2][]float64
	for range b.options.rounds {
		times, err := b.timesOfRound(sides, r.Rate)
		if err != nil {
			return err
		}
		for i := range sides {
			slices.Sort(times[i])
			medians[i] = append(medians[i], micros(quantile(times[i], 0.5)))
			p99s[i] = append(p99s[i], micros(quantile(times[i], 0.99)))
		}
	}
	r.Median, r.P99 = estimateOf(ratios(medians[0], medians[1])), estimateOf(ratios(p99s[0], p99s[1]))
	r.Left.Median, r.Left.P99 = estimateOf(medians[0]), estimateOf(p99s[0])
	r.Right.Median, r.Right.P99 = estimateOf(medians[1]), estimateOf(p99s[1])
	return nil
}

// timesOfRound loads each contender for the length of a round, in short turns, so
// that what else the machine does disturbs both alike.
func (b *bench) timesOfRound(sides []*side, rate float64) (all [2][]time.Duration, err error) {
	for turn := range 2 * turns {
		i := (turn + turn/2) % 2 // LRRL
		times, err := sides[i].load.atRate(rate, b.options.round/turns)
		if err != nil {
			return all, fmt.Errorf("%s: %w", sides[i].name, err)
		}
		if err := b.ctx.Err(); err != nil {
			return all, err
		}
		all[i] = append(all[i], times...)
	}
	return all, nil
}

// slowerRate loads the contenders one after another, for some rounds each, and
// returns the smaller of the rates that they reach.
func (b *bench) slowerRate(sides []*side) (float64, error) {
	var slower float64
	for _, s := range sides {
		before, start := s.load.count(), time.Now()
		s.load.begin()
		for range saturationRounds {
			if err := b.pause(s); err != nil {
				return 0, err
			}
		}
		rate := float64(s.load.count()-before) / time.Since(start).Seconds()
		if slower == 0 || rate < slower {
			slower = rate
		}
		if err := s.load.end(); err != nil {
			return 0, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return slower, nil
}

// micros returns a duration in microseconds.
func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
