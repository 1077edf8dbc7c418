// Package admin is the daemons' admin API, HTTP and JSON on a Unix socket, and the command line's client of it.
//
// A Server has a registry of endpoints; who is calling it knows from the socket's peer credentials. A Client speaks to
// it. A Table, or the same rows as JSON, is how commands print what came back.
package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// MaxBody is the longest request body that a Server reads, in octets.
const MaxBody = 1 << 20

// Request is what an endpoint gets.
type Request struct {
	Peer  Peer
	Query url.Values
	path  func(string) string
	body  []byte
}

// Path returns the part of the path that a {name} in the endpoint's pattern matched.
func (r *Request) Path(name string) string { return r.path(name) }

// Decode reads the body into a value; unknown fields are refused with an Error of status 400. An empty body changes
// nothing.
func (r *Request) Decode(into any) error {
	if len(r.body) == 0 {
		return nil
	}
	if err := decodeStrict(r.body, into); err != nil {
		return &Error{Status: http.StatusBadRequest, Message: "request body: " + err.Error()}
	}
	return nil
}

// Handler answers a request with a value that becomes JSON. An error of type *Error reaches the client as it is, any
// other one as status 500 with its text. ctx ends when the client goes away or the server stops.
type Handler func(ctx context.Context, r *Request) (any, error)

// StreamHandler sends values to the client, one JSON object per line, until it returns or ctx ends. send fails when the
// client is gone; it blocks when the client is slow.
type StreamHandler func(ctx context.Context, r *Request, send func(any) error) error

// OctetsHandler sends octets to the client until it returns or ctx ends. What it returns is for the client as well: a summary that becomes
// JSON, or an error.
type OctetsHandler func(ctx context.Context, r *Request, out *OctetWriter) (summary any, err error)

// OctetWriter is the way to the client of an OctetsHandler.
type OctetWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	sent    bool
}

// Write sends octets at once. It fails when the client is gone, and blocks while the client does not read.
func (o *OctetWriter) Write(p []byte) (int, error) {
	o.sent = true
	n, err := o.w.Write(p)
	if err == nil {
		err = o.control.Flush()
	}
	return n, err
}

// Until bounds how long Write may block.
func (o *OctetWriter) Until(t time.Time) error { return o.control.SetWriteDeadline(t) }

// Error is an outcome that an endpoint chooses, and what a Client returns for any answer that is not a success.
type Error struct {
	Status  int    `json:"-"`              // HTTP status
	Code    string `json:"code,omitempty"` // short fixed word, for programs
	Message string `json:"message"`        // for people
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// NotFound makes an Error of status 404.
func NotFound(format string, args ...any) *Error {
	return &Error{Status: http.StatusNotFound, Code: "not_found", Message: fmt.Sprintf(format, args...)}
}

// Invalid makes an Error of status 400.
func Invalid(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid", Message: fmt.Sprintf(format, args...)}
}

// Conflict makes an Error of status 409: the request does not fit the state that things are in.
func Conflict(format string, args ...any) *Error {
	return &Error{Status: http.StatusConflict, Code: "conflict", Message: fmt.Sprintf(format, args...)}
}
