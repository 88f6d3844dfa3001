package main

import "fmt"

// expectation is what a load expects of every response.
type expectation struct {
	status string // of HTTP
	call   string // grpc-status, empty if there may be none
}

// expected returns the response that a contender gives to its load.
func (c contender) expected(s scenario) expectation {
	if c.sent == unknown {
		return c.refusal(s)
	}
	status, call := "200", "0"
	if c.sent == unscoped {
		status, call = "403", "7" // permission denied
	}
	if s.request != grpcCall {
		return expectation{status: status}
	}
	return expectation{status: "200", call: call}
}

// refusal returns the response that a contender gives to an unknown key.
func (c contender) refusal(s scenario) expectation {
	if c.isGate && s.request == grpcCall {
		return expectation{status: "200", call: "16"} // unauthenticated
	}
	return expectation{status: "401"}
}

// checkRefusal checks that a contender refuses an unknown key.
func (b *bench) checkRefusal(side *side, s scenario) error {
	c, err := dial(s, side.instance.ports.address(s), b.certificate, side.refusal(s))
	if err != nil {
		return err
	}
	defer c.close()
	err = c.send(0, newRequests(s, b.few.used[unknown][:1])[0])
	if err == nil {
		_, err = c.receive()
	}
	if err != nil {
		return fmt.Errorf("asking %s with an unknown key: %w", side.name, err)
	}
	return nil
}
