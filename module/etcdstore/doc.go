// Package etcdstore keeps users, apps and credentials in etcd, for several nodes
// that share them.
//
// etcd has the truth. Every node keeps a mirror of it in a bbolt file and reads
// that alone, so that no request waits for the network. When a change returns
// and has settled, no node decides by what was before:
//
//   - Every change puts the head key, and is committed only if the head is still
//     the one of the mirror that it was made on. So the changes of all nodes are
//     serial, and the head names the newest.
//   - Each node reads the head again and again. It is fresh as of the moment when
//     it sent a read whose head it has applied, and decides only while that is at
//     most the fence ago ([Config.MaxStaleness]).
//   - A change settles when every node has reported it, or when the fences of
//     those that have not are closed ([Store.Settle]).
//
// No clocks are compared between nodes. They only have to run at about the same
// rate.
package etcdstore
