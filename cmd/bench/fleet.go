package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
)

// startGateOfFleet starts a gate whose keys are in an etcd of its own. Requests don't
// pass through etcd, so etcd doesn't count as a part of the contender.
func startGateOfFleet(b *bench, folder string) (*instance, error) {
	store := filepath.Join(folder, "keys.db")
	if err := copyFile(store, b.few.file); err != nil {
		return nil, err
	}
	etcd, url, err := b.startEtcd(filepath.Join(folder, "etcd"))
	if err != nil {
		return nil, err
	}
	i, err := b.startGateOn(url, folder, store)
	if err != nil {
		b.end(etcd)
		return nil, err
	}
	i.others = append(i.others, etcd)
	return i, nil
}

// startGateOn moves the keys into etcd, and starts a gate that uses them.
func (b *bench) startGateOn(url, folder, store string) (*instance, error) {
	site, err := b.site(folder)
	if err != nil {
		return nil, err
	}
	move := exec.Command(b.caddy, "api-keys", "store", "migrate", "bbolt:"+store, "etcd:"+url)
	move.Env = b.environment(folder)
	if out, err := b.output(move); err != nil {
		return nil, fmt.Errorf("moving the keys into etcd: %w: %s", err, out)
	}
	site.gate, site.store, site.etcd = true, filepath.Join(folder, "mirror.db"), url
	return b.startCaddy("gate", b.caddy, site)
}

// startEtcd starts an etcd of one member, and waits until it answers.
func (b *bench) startEtcd(folder string) (etcd *process, url string, err error) {
	free, err := freePorts()
	if err != nil {
		return nil, "", err
	}
	url, peer := fmt.Sprintf("http://127.0.0.1:%d", free.plain), fmt.Sprintf("http://127.0.0.1:%d", free.tls)
	etcd, err = b.run("etcd", exec.Command("etcd", "--name=bench", "--data-dir="+folder, "--log-level=error",
		"--listen-client-urls="+url, "--advertise-client-urls="+url,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=bench="+peer))
	if err != nil {
		return nil, "", err
	}
	err = etcd.waitFor(func() error {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url+"/health", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		_ = resp.Body.Close() // only the status counts
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("etcd answers %s", resp.Status)
		}
		return nil
	})
	if err != nil {
		b.end(etcd)
		return nil, "", err
	}
	return etcd, url, nil
}
