package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"
)

// Client speaks to one daemon. Safe for concurrent use.
type Client struct {
	name, socket string
	http         http.Client
}

// NewClient makes a client of the daemon (whose name serves the error texts) on a socket. Nothing is connected before
// the first request.
func NewClient(daemon, socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
	}
	return &Client{name: daemon, socket: socket, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Get asks for a path ("/sessions?user=x") and stores the answer in out, unless that is nil.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, out)
}

// Post sends in as JSON, unless it is nil, and stores the answer in out, unless that is nil.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	return c.call(ctx, http.MethodPost, path, body, out)
}

func (c *Client) call(ctx context.Context, method, path string, body []byte, out any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("%s answered %s %s with something else than expected: %w", c.name, method, path, err)
	}
	return nil
}

// Stream calls each with every line that the daemon sends until the daemon ends the stream, ctx ends, or each returns an
// error, which it then returns.
func (c *Client) Stream(ctx context.Context, path string, each func(json.RawMessage) error) error {
	resp, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: stream broken: %w", c.name, err)
		}
		var end streamEnd
		if json.Unmarshal(line, &end) == nil && end.Error != nil {
			return end.Error
		}
		if err := each(json.RawMessage(line)); err != nil {
			return err
		}
	}
}

// Octets sends in as JSON, copies the octets that the daemon sends to w until the daemon ends them, and stores the summary in out. An error
// of w ends it, too, and is returned.
func (c *Client) Octets(ctx context.Context, path string, in any, w io.Writer, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := c.send(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	to := &sink{w: w}
	if _, err := io.Copy(to, resp.Body); err != nil {
		if to.err != nil {
			return to.err
		}
		return fmt.Errorf("%s: stream broken: %w", c.name, err)
	}
	var end octetsEnd
	if err := json.Unmarshal([]byte(resp.Trailer.Get(endTrailer)), &end); err != nil {
		return fmt.Errorf("%s: stream broken: it says no end", c.name)
	}
	if end.Error != nil {
		return end.Error
	}
	return json.Unmarshal(end.Summary, out)
}

// sink keeps the error of writing, to tell it from one of reading.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (n int, err error) {
	n, s.err = s.w.Write(p)
	return n, s.err
}

// send returns a response of success, whose body the caller closes.
func (c *Client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.name+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	var refused errorBody
	if err := json.NewDecoder(io.LimitReader(resp.Body, MaxBody)).Decode(&refused); err != nil || refused.Error == nil {
		return nil, &Error{Status: resp.StatusCode, Message: c.name + " answered: " + resp.Status}
	}
	refused.Error.Status = resp.StatusCode
	return nil, refused.Error
}

// ErrNotRunning is wrapped when there is no daemon on the socket.
var ErrNotRunning = errors.New("is not running")

func (c *Client) explain(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("given up before %s answered: %w", c.name, context.Cause(ctx))
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s %w: there is no socket %s", c.name, ErrNotRunning, c.socket)
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%s %w: nobody answers on %s", c.name, ErrNotRunning, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("you may not use the socket %s: be root, or a member of its group", c.socket)
	}
	// net/http tells the end of a connection in several ways, not all of them errors that others can name.
	if dial := (*net.OpError)(nil); !errors.As(err, &dial) || dial.Op != "dial" {
		return fmt.Errorf("%s has ended before it answered on %s: %w", c.name, c.socket, err)
	}
	return fmt.Errorf("%s on %s: %w", c.name, c.socket, err)
}
