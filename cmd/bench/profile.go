package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

// writeProfile writes a CPU profile of the gate to a file. Meanwhile the gate is
// loaded with all kinds of requests by all protocols at the same time.
func (b *bench) writeProfile(file string) error {
	gate, err := findContender("gate")
	if err != nil {
		return err
	}
	folder, err := b.newFolder(gate.name)
	if err != nil {
		return err
	}
	instance, err := gate.start(b, folder)
	if err != nil {
		return err
	}
	defer b.stop(instance)
	var sides []*side
	all := scenarios(protocols, requestKinds)
	for i, s := range all {
		one := &side{contender: gate, instance: instance}
		l, err := b.connect(one, s, streams)
		if err != nil {
			return err
		}
		defer l.close()
		l.next = i * len(l.requests) / len(all) // each warms up other keys
		l.begin()
		one.load = l
		sides = append(sides, one)
	}
	if err := b.warmUpTogether(sides); err != nil {
		return err
	}
	seconds := int(max(1, float64(b.options.rounds)*b.options.round.Seconds()))
	b.progress("Profiling for %d seconds ...", seconds)
	if err := fetchProfile(instance.socket, seconds, file); err != nil {
		return err
	}
	for _, s := range sides {
		if err := s.load.end(); err != nil {
			return err
		}
	}
	return nil
}

// warmUpTogether waits until loads with the same keys have sent each of them
// twice, or one of them has failed.
func (b *bench) warmUpTogether(sides []*side) error {
	for answered := 0; answered < 2*len(sides[0].load.requests); {
		if err := b.pause(); err != nil {
			return err
		}
		answered = 0
		for _, s := range sides {
			if err := s.load.failure(); err != nil {
				return err
			}
			answered += s.load.count()
		}
	}
	return nil
}

// fetchProfile has a Caddy profile itself, and writes the profile to a file.
func fetchProfile(socket string, seconds int, file string) error {
	resp, err := adminClient(socket).Get(fmt.Sprintf("http://127.0.0.1/debug/pprof/profile?seconds=%d", seconds))
	if err != nil {
		return fmt.Errorf("profiling the gate: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("profiling the gate: %s", resp.Status)
	}
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("writing the profile: %w", err)
	}
	if _, err := io.Copy(out, resp.Body); err != nil {
		_ = out.Close()
		return fmt.Errorf("writing the profile: %w", err)
	}
	return out.Close()
}
