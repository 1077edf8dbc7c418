package line

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Error is a refusal by a line. Two errors are the same for errors.Is when
// their codes are; that survives a process boundary.
type Error struct {
	Code ErrorCode
	Text string // more than the code says, for people; may be empty
}

// Error returns code and text.
func (e *Error) Error() string {
	if e.Text == "" {
		return "line: " + e.Code.String()
	}
	return "line: " + e.Code.String() + ": " + e.Text
}

// Is says whether target is an Error with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// ErrorCode enumerates the errors of the contract. The values are part of it.
type ErrorCode uint8

// Error codes.
const (
	CodeOther         ErrorCode = iota // anything else; the text says what
	CodeNoCall                         // no such call, or it is over, or it is not in a state for the command
	CodeBusy                           // the line is not idle
	CodeDown                           // the line does not work
	CodeNotConnected                   // no call is connected
	CodeStalled                        // the device takes no data
	CodeClosed                         // the line has been shut down
	CodeUnsupported                    // the driver cannot do that at all
	CodeInvalid                        // the request makes no sense
	CodeConfiguration                  // the section cannot be used
	CodeDriver                         // the driver's process is gone or does not answer
	CodeEndOfCall                      // io.EOF of Read
	CodeCanceled                       // context.Canceled
	CodeDeadline                       // context.DeadlineExceeded
)

var codeNames = [...]string{
	CodeOther: "failed", CodeNoCall: "no such call", CodeBusy: "line is not idle", CodeDown: "line is down",
	CodeNotConnected: "not connected", CodeStalled: "device takes no data", CodeClosed: "line is shut down",
	CodeUnsupported: "not supported", CodeInvalid: "invalid request", CodeConfiguration: "configuration",
	CodeDriver: "driver is gone", CodeEndOfCall: "end of call", CodeCanceled: "canceled", CodeDeadline: "deadline exceeded",
}

// String returns the code in words.
func (c ErrorCode) String() string { return enumName(codeNames[:], int(c), "error") }

// Sentinels, for errors.Is.
var (
	ErrNoCall        = &Error{Code: CodeNoCall}
	ErrBusy          = &Error{Code: CodeBusy}
	ErrDown          = &Error{Code: CodeDown}
	ErrNotConnected  = &Error{Code: CodeNotConnected}
	ErrStalled       = &Error{Code: CodeStalled}
	ErrClosed        = &Error{Code: CodeClosed}
	ErrUnsupported   = &Error{Code: CodeUnsupported}
	ErrInvalid       = &Error{Code: CodeInvalid}
	ErrConfiguration = &Error{Code: CodeConfiguration}
	ErrDriver        = &Error{Code: CodeDriver}
)

// CodeOf returns the code and text under which err crosses a process
// boundary. MakeError turns them back into an error that errors.Is finds
// equal to the same sentinels. A nil error has no code: do not ask.
func CodeOf(err error) (ErrorCode, string) {
	var e *Error
	switch {
	case errors.As(err, &e):
		if err == error(e) {
			return e.Code, e.Text
		}
		return e.Code, strings.TrimPrefix(err.Error(), "line: ")
	case errors.Is(err, io.EOF):
		return CodeEndOfCall, ""
	case errors.Is(err, context.Canceled):
		return CodeCanceled, ""
	case errors.Is(err, context.DeadlineExceeded):
		return CodeDeadline, ""
	}
	return CodeOther, err.Error()
}

// MakeError is the inverse of CodeOf.
func MakeError(code ErrorCode, text string) error {
	switch code {
	case CodeEndOfCall:
		return io.EOF
	case CodeCanceled:
		return context.Canceled
	case CodeDeadline:
		return context.DeadlineExceeded
	}
	return &Error{Code: code, Text: text}
}
