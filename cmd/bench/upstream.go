package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// upstreamAnswer is what the upstream answers to every request.
const upstreamAnswer = `{"status":{"code":10000,"description":"Ok"},"inputs":[{"id":"first","data":{"text":{"raw":"a short text"}},"created_at":"2026-01-02T03:04:05Z"}]}`

// serveUpstream runs the upstream of all contenders.
func serveUpstream() error { return serveHelper(http.HandlerFunc(answerRequest)) }

// answerRequest reads a request and answers it.
func answerRequest(w http.ResponseWriter, r *http.Request) {
	// A contender that breaks off gets no answer.
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), grpcType) {
		answerCall(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, upstreamAnswer)
}

// answerCall answers a gRPC call with an empty message.
func answerCall(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", grpcType)
	header.Set("Trailer", "Grpc-Status")
	_, _ = w.Write(frameMessage(nil))
	header.Set("Grpc-Status", "0")
}

// frameMessage returns a message as gRPC sends it.
func frameMessage(message []byte) []byte {
	const uncompressed = 0
	frame := binary.BigEndian.AppendUint32([]byte{uncompressed}, uint32(len(message)))
	return append(frame, message...)
}

// serveHelper serves on a free port over HTTP/1.1 and h2c, and prints the
// address. It returns only if it fails.
func serveHelper(handler http.Handler) error {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if _, err := fmt.Fprintln(os.Stdout, listener.Addr()); err != nil {
		return fmt.Errorf("printing the address: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	return server.Serve(listener)
}
