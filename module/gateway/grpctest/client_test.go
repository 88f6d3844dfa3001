package grpctest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// grpcCall is what a client is asked to do.
type grpcCall struct {
	Client string `json:"client"` // of drive.js
	TLS    bool   `json:"tls"`
	Base   string `json:"base"`
	Method string `json:"method"`
	// Metadata's names in -bin have their values in base64.
	Metadata map[string]string `json:"metadata"`
	Send     int               `json:"send,omitempty"` // messages, of a client's stream
	Size     int               `json:"size,omitempty"` // of a message, about
	// Hold leaves the client's side open, and has the run say when the first
	// message has come.
	Hold    bool  `json:"hold,omitempty"`
	Timeout int64 `json:"timeout,omitempty"` // in milliseconds
	// Other is the number of a message that names another's app, from 1.
	Other int `json:"other,omitempty"`
	// Await sends no message before the last one is answered.
	Await bool `json:"await,omitempty"`
}

// grpcAnswer is what a client saw of a call.
type grpcAnswer struct {
	Code     codes.Code
	Message  string
	Details  []grpcDetail
	Received int // messages
	Header   map[string]string
	Trailer  map[string]string
	Error    string // what went wrong otherwise

	First bool // of drive.js: no answer yet
}

type grpcDetail struct {
	Type  string
	Value []byte
}

// grpcRun is a call under way.
type grpcRun struct {
	first chan struct{} // closed when the first message has come
	done  chan grpcAnswer
}

// grpcClient begins a call.
type grpcClient func(*testing.T, grpcCall) grpcRun

// call makes a call and waits for its end.
func (c grpcClient) call(t *testing.T, call grpcCall) grpcAnswer {
	t.Helper()
	return gatetest.Receive(t, c(t, call).done, "the call's end")
}

// at fills in where the call goes.
func (server *grpcServer) at(call grpcCall) grpcCall {
	addr := server.Addr
	if call.TLS {
		addr = server.tlsAddr
	}
	_, port, _ := net.SplitHostPort(addr)
	// A name, because a certificate is for names.
	call.Base = net.JoinHostPort("localhost", port)
	return call
}

// goClient is grpc-go, with a connection for each site.
func (server *grpcServer) goClient() grpcClient {
	server.T.Helper()
	conns := map[bool]*grpc.ClientConn{
		false: server.dialGRPC(false),
		true:  server.dialGRPC(true),
	}
	return func(t *testing.T, call grpcCall) grpcRun {
		run := grpcRun{first: make(chan struct{}), done: make(chan grpcAnswer, 1)}
		go func() { run.done <- callGRPC(conns[call.TLS], call, func() { close(run.first) }) }()
		return run
	}
}

// dialGRPC makes a connection of its own.
func (server *grpcServer) dialGRPC(overTLS bool) *grpc.ClientConn {
	server.T.Helper()
	creds := insecure.NewCredentials()
	if overTLS {
		creds = credentials.NewClientTLSFromCert(server.roots, "")
	}
	conn, err := grpc.NewClient(server.at(grpcCall{TLS: overTLS}).Base, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		server.T.Fatal(err)
	}
	server.T.Cleanup(func() { conn.Close() })
	return conn
}

// callGRPC makes a call with grpc-go, and calls first when a message has come.
func callGRPC(conn *grpc.ClientConn, call grpcCall, first func(), options ...grpc.CallOption) (a grpcAnswer) {
	timeout := gatetest.Deadline
	if call.Timeout > 0 {
		timeout = time.Duration(call.Timeout) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for name, value := range call.Metadata {
		if strings.HasSuffix(name, "-bin") {
			text, err := decodeBinary(value)
			if err != nil {
				return grpcAnswer{Error: err.Error()}
			}
			value = string(text)
		}
		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
	}
	var header, trailer metadata.MD
	options = append(options, grpc.Header(&header), grpc.Trailer(&trailer))
	request, sum := newRequest("alice", "shop", call.Size)
	other, _ := newRequest("bob", "farm", call.Size)
	method := call.Method
	if !strings.HasPrefix(method, "/") {
		method = clarifaiService + method
	}

	var err error
	note := func(answer *emptypb.Empty) {
		a.Received++
		n, got := readAnswer(answer)
		if n != a.Received || got != sum {
			a.Error = fmt.Sprintf("message %d is %d with the sum %s, want %s", a.Received, n, got, sum)
		}
		if a.Received == 1 && first != nil {
			first()
		}
	}
	message := func(n int) *emptypb.Empty {
		if n == call.Other {
			return other
		}
		return request
	}
	answered := make(chan struct{}, 1)
	if method == clarifaiService+unary {
		answer := new(emptypb.Empty)
		if err = conn.Invoke(ctx, method, message(1), answer, options...); err == nil {
			note(answer)
		}
	} else {
		desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: call.Method == bidirectional}
		var stream grpc.ClientStream
		if stream, err = conn.NewStream(ctx, desc, method, options...); err == nil {
			go func() {
				for n := range max(call.Send, 1) {
					if stream.SendMsg(message(n+1)) != nil {
						return // RecvMsg says why
					}
					if call.Await {
						select {
						case <-answered:
						case <-ctx.Done():
							return
						}
					}
				}
				if !call.Hold || !desc.ClientStreams {
					_ = stream.CloseSend()
				}
			}()
			for err == nil {
				answer := new(emptypb.Empty)
				if err = stream.RecvMsg(answer); err == nil {
					note(answer)
					if call.Await {
						answered <- struct{}{}
					}
				}
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
		}
	}
	s := status.Convert(err)
	a.Code, a.Message = s.Code(), s.Message()
	for _, d := range s.Proto().GetDetails() {
		a.Details = append(a.Details, grpcDetail{string(d.MessageName()), d.Value})
	}
	a.Header, a.Trailer = flat(header), flat(trailer)
	return a
}

func flat(md metadata.MD) map[string]string {
	all := make(map[string]string, len(md))
	for name, values := range md {
		value := values[0]
		if strings.HasSuffix(name, "-bin") {
			value = encodeBinary([]byte(value))
		}
		all[name] = value
	}
	return all
}
