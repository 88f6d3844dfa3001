package grpctest

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// clarifaiService is what the calls of these tests are of. Its methods:
const (
	clarifaiService = "/clarifai.api.V2/"
	unary           = "PostModelOutputs"     // one message, one answer
	serverStream    = "GenerateModelOutputs" // one message, several answers
	bidirectional   = "StreamModelOutputs"   // messages and answers, as they come
)

// answersPerMessage are what the stand-in gives in a server's stream.
const answersPerMessage = 3

// grpcWorld is a running Caddy with the same gate on two sites, one with h2c
// and one with TLS, in front of a gRPC server.
type grpcServer struct {
	*gatetest.Server
	tlsAddr string
	// certificate is the file of the one that the site over TLS has, which
	// signs itself.
	certificate  string
	roots        *x509.CertPool
	grpcUpstream *grpcUpstream
}

// startGRPC runs Caddy with these api_keys options. The world's upstream gets
// what the gRPC server doesn't speak: gRPC-Web, and /raw.Service. There is no
// access log, for Caddy's counts the bytes of a body that may still be read,
// which the race detector finds.
func startGRPC(t *testing.T, options string) *grpcServer {
	t.Helper()
	server := &grpcServer{
		Server:       gatetest.New(t),
		tlsAddr:      machine.FreeAddress(t),
		grpcUpstream: newGRPCUpstream(t),
	}
	var key string
	server.certificate, key, server.roots = gatetest.NewCertificate(t)
	_, port, _ := net.SplitHostPort(server.Addr)
	_, tlsPort, _ := net.SplitHostPort(server.tlsAddr)
	if err := server.Load(fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	log {
		level DEBUG
		output net %s
		format filter {
			fields {
				request>headers>X-Clarifai-Session-Token delete
			}
		}
	}
	servers :%s {
		protocols h1 h2c
	}
	api_keys {
		store bbolt %s
	}
}
(site) {
	api_keys {
		%s
	}
	@web header Content-Type application/grpc-web*
	@raw path /raw.Service/*
	reverse_proxy @web %s
	reverse_proxy @raw h2c://%s
	reverse_proxy h2c://%s
}
http://:%s {
	import site
}
https://:%s {
	tls %s %s
	import site
}
`, server.Logs.Addr, port, server.StorePath, options, server.Upstream.Addr, server.Upstream.Addr, server.grpcUpstream.addr,
		port, tlsPort, server.certificate, key)); err != nil {
		t.Fatal(err)
	}
	return server
}

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

// What Clarifai's methods speak is written and read here field by field, as
// the fields that a message without any doesn't know. So the stand-in takes
// any method's messages, and nothing is generated.

// newRequest is a PostModelOutputsRequest about an app, of at least this size,
// and the sum of its bytes.
func newRequest(owner, app string, size int) (*emptypb.Empty, string) {
	field := func(b []byte, n protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), value)
	}
	userApp := field(field(nil, 1, []byte(owner)), 2, []byte(app))
	b := field(nil, 1, userApp)
	b = field(b, 2, []byte("model-1"))
	b = field(b, 4, field(nil, 1, []byte(strings.Repeat("x", size))))
	m := new(emptypb.Empty)
	m.ProtoReflect().SetUnknown(b)
	return m, sumOf(b)
}

// newAnswer is a MultiOutputResponse: its status is 10000, and has the
// message's number for its description and the sum of what it answers for its
// details.
func newAnswer(n int, sum string) []byte {
	s := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 10000)
	s = protowire.AppendString(protowire.AppendTag(s, 2, protowire.BytesType), strconv.Itoa(n))
	s = protowire.AppendString(protowire.AppendTag(s, 3, protowire.BytesType), sum)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), s)
}

func readAnswer(m *emptypb.Empty) (n int, sum string) {
	_, _, tag := protowire.ConsumeTag(m.ProtoReflect().GetUnknown())
	s, _ := protowire.ConsumeBytes(m.ProtoReflect().GetUnknown()[tag:])
	for len(s) > 0 {
		number, kind, length := protowire.ConsumeTag(s)
		value := s[length:]
		length += protowire.ConsumeFieldValue(number, kind, value)
		switch number {
		case 2:
			text, _ := protowire.ConsumeString(value)
			n, _ = strconv.Atoi(text)
		case 3:
			sum, _ = protowire.ConsumeString(value)
		}
		s = s[length:]
	}
	return n, sum
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// standIn is the gRPC server behind the gate.
type grpcUpstream struct {
	addr string
	mu   sync.Mutex
	all  []*grpcSeen
}

// grpcSeen is what the server saw of a call.
type grpcSeen struct {
	method   string
	metadata metadata.MD
	timeout  time.Duration // to its deadline, 0 where it has none
	ended    chan struct{} // closed when the server has left it
}

func newGRPCUpstream(t *testing.T) *grpcUpstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &grpcUpstream{addr: ln.Addr().String()}
	server := grpc.NewServer(grpc.UnknownServiceHandler(s.serve), grpc.MaxRecvMsgSize(64<<20))
	go func() {
		if err := server.Serve(ln); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(server.Stop)
	return s
}

// serve answers every message, as the method's kind is. The metadata may ask
// for a status behind the answers or without any (test-status), or that it
// waits to be ended, behind the first answer (test-hold) or without any
// (test-silent).
func (s *grpcUpstream) serve(_ any, stream grpc.ServerStream) error {
	ctx := stream.Context()
	call := &grpcSeen{ended: make(chan struct{})}
	defer close(call.ended)
	call.method, _ = grpc.MethodFromServerStream(stream)
	call.metadata, _ = metadata.FromIncomingContext(ctx)
	if end, ok := ctx.Deadline(); ok {
		call.timeout = time.Until(end)
	}
	silent := len(call.metadata["test-silent"]) > 0
	alone := slices.Contains(call.metadata["test-status"], "alone")
	for silent || alone {
		// To the end, so that Caddy reads no more of the request: its Close is
		// no match for a read at that moment, as the race detector finds.
		if err := stream.RecvMsg(new(emptypb.Empty)); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.all = append(s.all, call)
	s.mu.Unlock()

	if alone {
		return exhausted() // of trailers only
	}
	if silent {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := stream.SetHeader(metadata.Pairs("from", "upstream", "from-bin", "\x00\xff,")); err != nil {
		return err
	}
	stream.SetTrailer(metadata.Pairs("after", "upstream", "after-bin", "\x00\xff,"))
	answers := 1
	if call.method == clarifaiService+serverStream {
		answers = answersPerMessage
	}
	for n := 0; ; {
		in := new(emptypb.Empty)
		if err := stream.RecvMsg(in); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		for range answers {
			n++
			out := new(emptypb.Empty)
			out.ProtoReflect().SetUnknown(newAnswer(n, sumOf(in.ProtoReflect().GetUnknown())))
			if err := stream.SendMsg(out); err != nil {
				return err
			}
			if len(call.metadata["test-hold"]) > 0 {
				<-ctx.Done()
				return ctx.Err()
			}
		}
	}
	if len(call.metadata["test-status"]) > 0 {
		return exhausted()
	}
	return nil
}

// exhausted is a status with all that one can have.
func exhausted() error {
	s, err := status.New(codes.ResourceExhausted, "upstream: 100 % ü\nenough").WithDetails(&errdetails.ErrorInfo{Reason: "UPSTREAM", Domain: "upstream"})
	if err != nil {
		return err
	}
	return s.Err()
}

func (s *grpcUpstream) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func (s *grpcUpstream) last() *grpcSeen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[len(s.all)-1]
}
