package grpctest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

const grpcClientDir = "../../../testdata/grpc-client"

// nodeClients starts the script that makes calls with published clients, and
// answers a function that gives the one of this name. It makes one call at a
// time.
func (server *grpcServer) nodeClients() func(name string) grpcClient {
	server.T.Helper()
	node := machine.Program(server.T, "node")
	machine.NPMModules(server.T, grpcClientDir)

	ctx, cancel := context.WithTimeout(context.Background(), 4*gatetest.Deadline)
	cmd := exec.CommandContext(ctx, node, "drive.js")
	cmd.Dir = grpcClientDir
	// A proxy of the machine's isn't one for its own addresses.
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+server.certificate,
		"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH="+server.certificate, "no_proxy=localhost", "no_grpc_proxy=localhost")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		server.T.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		server.T.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		server.T.Fatal(err)
	}
	// Its standard error is complete once it has ended.
	end := sync.OnceValue(func() error {
		defer cancel()
		return errors.Join(stdin.Close(), cmd.Wait())
	})
	server.T.Cleanup(func() {
		if err := end(); err != nil {
			server.T.Errorf("the clients: %v\n%s", err, &stderr)
		}
	})

	answers := make(chan grpcAnswer)
	go readAnswers(ctx, stdout, answers)
	return func(name string) grpcClient {
		return func(t *testing.T, call grpcCall) grpcRun {
			t.Helper()
			call.Client = name
			if err := json.NewEncoder(stdin).Encode(call); err != nil {
				t.Fatalf("the clients are gone: %v, %v\n%s", err, end(), &stderr)
			}
			run := grpcRun{first: make(chan struct{}), done: make(chan grpcAnswer, 1)}
			go func() {
				for {
					a, open := <-answers
					if !open {
						a.Error = "the clients wrote no more"
					}
					if !a.First {
						run.done <- a
						return
					}
					close(run.first)
				}
			}()
			return run
		}
	}
}

// readAnswers reads what the script writes, a line for each answer, until its
// output or the context ends.
func readAnswers(ctx context.Context, out io.Reader, answers chan<- grpcAnswer) {
	defer close(answers)
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var a grpcAnswer
		if err := json.Unmarshal(line, &a); err != nil {
			a.Error = "the client wrote " + string(line) + ": " + err.Error()
		}
		select {
		case answers <- a:
		case <-ctx.Done():
			return
		}
	}
}

func encodeBinary(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func decodeBinary(s string) ([]byte, error) { return base64.StdEncoding.DecodeString(s) }
