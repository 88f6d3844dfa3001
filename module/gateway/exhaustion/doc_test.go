// Package exhaustion tests that slow clients, large requests and many reloads
// cost bounded memory.
package exhaustion
