package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// ServerOptions say where and for whom a Server listens.
type ServerOptions struct {
	Socket string      // path; its directory is made (mode 0755) if it is not there
	Mode   os.FileMode // 0 means 0660
	Group  string      // that the socket shall belong to, by name or number; empty means the daemon's own
	Logger *zap.Logger // nil means none
}

// ErrInUse is wrapped by Listen's error when another process answers on the socket.
var ErrInUse = errors.New("another process answers on this socket")

// Server is an admin API. Register endpoints, then Listen, then Serve.
type Server struct {
	options  ServerOptions
	mux      *http.ServeMux
	http     *http.Server
	listener *net.UnixListener
	groups   []uint32 // whose members may call, besides root and the daemon's own user
	identity fs.FileInfo
	stop     context.CancelFunc
	once     sync.Once
}

// NewServer makes a Server without endpoints.
func NewServer(o ServerOptions) *Server {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Mode == 0 {
		o.Mode = 0o660
	}
	s := &Server{options: o, mux: http.NewServeMux()}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, NotFound("no such endpoint: %s %s (are the daemon and the command of the same version?)", r.Method, r.URL.Path))
	})
	base, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.http = &http.Server{
		Handler:           s.mux,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			peer, err := peerOf(c)
			return context.WithValue(ctx, peerKey{}, peerOrError{peer, err})
		},
		ErrorLog: zap.NewStdLog(o.Logger),
	}
	return s
}

type peerKey struct{}

type peerOrError struct {
	peer Peer
	err  error
}

// Get registers an endpoint that changes nothing. The pattern is that of http.ServeMux without a method:
// "/sessions/{id}".
func (s *Server) Get(pattern string, h Handler) { s.handle("GET "+pattern, h) }

// Post registers an endpoint that changes something; each use of it is logged with who asked.
func (s *Server) Post(pattern string, h Handler) { s.handle("POST "+pattern, h) }

// Stream registers an endpoint that goes on telling.
func (s *Server) Stream(pattern string, h StreamHandler) {
	s.mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, hr *http.Request) {
		r, ok := s.admit(w, hr)
		if !ok {
			return
		}
		out, control := json.NewEncoder(w), http.NewResponseController(w)
		w.Header().Set("Content-Type", "application/jsonl")
		sent := false
		err := h(hr.Context(), r, func(v any) error {
			sent = true
			if err := out.Encode(v); err != nil {
				return err
			}
			return control.Flush()
		})
		switch {
		case err != nil && !sent:
			fail(w, err)
		case err != nil && hr.Context().Err() == nil:
			_ = out.Encode(streamEnd{Error: asError(err)})
		}
	})
}

// streamEnd is the last line of a stream that ended in an error.
type streamEnd struct {
	Error *Error `json:"stream_error"`
}

// Octets registers an endpoint, reached by POST, that sends octets of whatever form; each use of it is logged with who asked.
func (s *Server) Octets(pattern string, h OctetsHandler) {
	s.mux.HandleFunc("POST "+pattern, func(w http.ResponseWriter, hr *http.Request) {
		r, ok := s.admit(w, hr)
		if !ok {
			return
		}
		s.options.Logger.Info("admin request", zap.String("request", hr.URL.Path), zap.Uint32("uid", r.Peer.UID), zap.Int32("pid", r.Peer.PID))
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Trailer", endTrailer)
		out := &OctetWriter{w: w, control: http.NewResponseController(w)}
		summary, err := h(hr.Context(), r, out)
		if err != nil && !out.sent {
			w.Header().Del("Trailer")
			fail(w, err)
			return
		}
		var end octetsEnd
		if err != nil {
			end.Error = asError(err)
		} else if end.Summary, err = json.Marshal(summary); err != nil {
			end.Error = asError(err)
		}
		if text, err := json.Marshal(end); err == nil {
			w.Header().Set(endTrailer, string(text))
		}
	})
}

// endTrailer is the HTTP trailer that says how a stream of octets has ended; without it, it was broken off.
const endTrailer = "Trunkline-End"

type octetsEnd struct {
	Error   *Error          `json:"error,omitempty"`
	Summary json.RawMessage `json:"summary,omitempty"`
}

func (s *Server) handle(pattern string, h Handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, hr *http.Request) {
		r, ok := s.admit(w, hr)
		if !ok {
			return
		}
		v, err := h(hr.Context(), r)
		if hr.Method != http.MethodGet {
			s.options.Logger.Info("admin request", zap.String("request", hr.URL.Path), zap.Uint32("uid", r.Peer.UID),
				zap.Int32("pid", r.Peer.PID), zap.Error(err))
		}
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			s.options.Logger.Debug("admin answer not sent", zap.Error(err))
		}
	})
}

// admit checks who calls and reads the body; on a refusal it has answered.
func (s *Server) admit(w http.ResponseWriter, hr *http.Request) (*Request, bool) {
	from, _ := hr.Context().Value(peerKey{}).(peerOrError)
	switch {
	case from.err != nil:
		fail(w, fmt.Errorf("peer credentials: %w", from.err))
		return nil, false
	case !s.may(from.peer):
		fail(w, &Error{Status: http.StatusForbidden, Code: "forbidden", Message: fmt.Sprintf("user %d may not use this socket", from.peer.UID)})
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, hr.Body, MaxBody))
	if err != nil {
		fail(w, Invalid("request body: %v", err))
		return nil, false
	}
	return &Request{Peer: from.peer, Query: hr.URL.Query(), path: hr.PathValue, body: body}, true
}

func (s *Server) may(p Peer) bool {
	if p.Owner() {
		return true
	}
	for _, g := range s.groups {
		if p.InGroup(g) {
			return true
		}
	}
	return false
}

// Listen opens the socket. A socket file that nobody answers on is left over from a crash and replaced; if somebody
// answers, the error wraps ErrInUse.
func (s *Server) Listen() error {
	path := s.options.Socket
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	if err := removeStale(path); err != nil {
		return fmt.Errorf("admin socket %s: %w", path, err)
	}
	// The file must never be open to more users than it shall be in the end.
	old := unix.Umask(0o777&^int(s.options.Mode.Perm()) | 0o007)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	s.listener = l
	if err := s.permit(path); err != nil {
		_ = l.Close()
		_ = os.Remove(path)
		return fmt.Errorf("admin socket %s: %w", path, err)
	}
	return nil
}

func (s *Server) permit(path string) error {
	if g := s.options.Group; g != "" {
		gid, err := lookupGroup(g)
		if err != nil {
			return err
		}
		if err := os.Chown(path, -1, int(gid)); err != nil {
			return err
		}
		s.groups = append(s.groups, gid)
	} else {
		s.groups = append(s.groups, uint32(os.Getegid()))
	}
	if err := os.Chmod(path, s.options.Mode.Perm()); err != nil {
		return err
	}
	var err error
	s.identity, err = os.Lstat(path)
	return err
}

func lookupGroup(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(n), err
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("exists and is not a socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
		return ErrInUse
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// stopLimit is how long requests may take when a started server is stopped.
const stopLimit = 2 * time.Second

// Start is Listen, and Serve in a goroutine. Without a socket it does nothing. stop gives requests two seconds to end.
func (s *Server) Start() (stop func(), err error) {
	if s.options.Socket == "" {
		return func() {}, nil
	}
	if err := s.Listen(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Serve(); err != nil {
			s.options.Logger.Error("the admin API ended", zap.Error(err))
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
		defer cancel()
		_ = s.Shutdown(ctx)
		<-ended
	}, nil
}

// Serve answers requests until Shutdown; then it returns nil.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin socket: %w", err)
	}
	return nil
}

// Shutdown ends streams, waits for other requests within ctx, and removes the socket file if it is still our own.
func (s *Server) Shutdown(ctx context.Context) error {
	var err error
	s.once.Do(func() {
		if now, statErr := os.Lstat(s.options.Socket); statErr == nil && s.identity != nil && os.SameFile(now, s.identity) {
			_ = os.Remove(s.options.Socket)
		}
		s.stop()
		if err = s.http.Shutdown(ctx); err != nil {
			err = errors.Join(err, s.http.Close())
		}
		if s.listener != nil {
			_ = s.listener.Close() // also when Serve was never called
		}
	})
	return err
}

func fail(w http.ResponseWriter, err error) {
	e := asError(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(errorBody{Error: e})
}

type errorBody struct {
	Error *Error `json:"error"`
}

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		if e.Status == 0 {
			e = &Error{Status: http.StatusInternalServerError, Code: e.Code, Message: e.Message}
		}
		return e
	}
	return &Error{Status: http.StatusInternalServerError, Code: "internal", Message: err.Error()}
}

func decodeStrict(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}
