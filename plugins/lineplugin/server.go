package lineplugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"trunkline.example/plugins/lineplugin/linepb"
	"trunkline.example/shared/line"
)

// server is the driver's side of the boundary: it serves one line.Driver.
type server struct {
	linepb.UnimplementedLineDriverServer
	driver line.Driver
	out    *batcher
	hosts  *hosts

	mu      sync.Mutex
	lines   []*servedLine
	section line.Section // of the lines
}

// servedLine is one line of the driver with what the boundary needs to know of it.
type servedLine struct {
	line   line.Line
	index  uint32
	writes chan hostWrite // one Write at a time is under way
	gone   chan struct{}  // the line's last event has been sent
	once   sync.Once      // closes gone
	teller chan struct{}  // has an element while somebody passes events on

	status line.Status // as a host has been told; teller's

	mu      sync.Mutex
	change  *sync.Cond // one of these has changed
	call    uint64     // the one that is read and written
	over    bool       // it is over; the host may still read what came before
	credit  int        // octets the host has room for
	readers int        // loops that read
	writing bool
	host    uint64 // number of the host that writes and has given credit
}

// hostWrite is a Write of one of the hosts.
type hostWrite struct {
	host uint64
	data *linepb.Data
}

func newServedLine(l line.Line, index int) *servedLine {
	s := &servedLine{line: l, index: uint32(index), writes: make(chan hostWrite, 1), gone: make(chan struct{}), teller: make(chan struct{}, 1)}
	s.change = sync.NewCond(&s.mu)
	return s
}

// register makes a gRPC server serve the driver.
func register(g *grpc.Server, driver line.Driver, h *hosts) {
	linepb.RegisterLineDriverServer(g, &server{driver: driver, out: newBatcher(), hosts: h})
}

func (s *server) Hello(_ context.Context, r *linepb.HelloRequest) (*linepb.HelloReply, error) {
	if r.GetContract() != line.ContractVersion {
		return nil, status.Errorf(codes.FailedPrecondition, "the driver speaks version %d of the line contract, the host version %d", line.ContractVersion, r.GetContract())
	}
	return infoToPB(s.driver.Info()), nil
}

func (s *server) Heartbeat(context.Context, *linepb.HeartbeatRequest) (*linepb.HeartbeatReply, error) {
	return &linepb.HeartbeatReply{}, nil
}

func (s *server) Open(ctx context.Context, r *linepb.OpenRequest) (*linepb.OpenReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	section := line.Section{Name: r.GetName(), File: r.GetFile(), Line: int(r.GetLine()), Text: r.GetText()}
	if s.lines != nil {
		if !s.driver.Info().Capabilities.Recover || section.Name != s.section.Name || !bytes.Equal(section.Text, s.section.Text) {
			return nil, status.Error(codes.AlreadyExists, "the lines are open already")
		}
		return s.identities(), nil
	}
	lines, err := s.driver.Open(ctx, section)
	if err != nil {
		return &linepb.OpenReply{Error: errorToPB(err)}, nil
	}
	s.section = section
	for i, l := range lines {
		served := newServedLine(l, i)
		go s.writeLoop(served)
		s.lines = append(s.lines, served)
	}
	return s.identities(), nil
}

func (s *server) identities() *linepb.OpenReply {
	reply := &linepb.OpenReply{}
	for _, l := range s.lines {
		reply.Lines = append(reply.Lines, identityToPB(l.line.Identity()))
	}
	return reply
}

// find returns a line by its index.
func (s *server) find(index uint32) (*servedLine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if int(index) >= len(s.lines) {
		return nil, status.Errorf(codes.NotFound, "there is no line %d", index)
	}
	return s.lines[index], nil
}

// Events forwards a line's events, and starts to read when a call is connected. A host that is not the first one of the line is told first
// how it stands.
func (s *server) Events(r *linepb.EventsRequest, stream grpc.ServerStreamingServer[linepb.Event]) error {
	l, err := s.find(r.GetLine())
	if err != nil {
		return err
	}
	select { // the last host's stream may not have ended yet
	case l.teller <- struct{}{}:
		defer func() { <-l.teller }()
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
	if l.status.Sequence > 0 {
		now := line.Event{Sequence: l.status.Sequence, At: time.Now(), Call: l.status.Call, Body: line.Recovered{Status: l.status}}
		if err := stream.Send(eventToPB(now)); err != nil {
			return err
		}
	}
	for {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case e, open := <-l.line.Events():
			if !open {
				l.once.Do(func() { close(l.gone) })
				return nil
			}
			_ = l.status.Apply(e)
			switch e.Body.(type) {
			case line.Connected:
				l.begin(uint64(e.Call))
				go s.readLoop(l, uint64(e.Call))
			case line.Lost:
				l.end()
			}
			if err := stream.Send(eventToPB(e)); err != nil {
				return err
			}
		}
	}
}

func (s *server) Command(ctx context.Context, r *linepb.CommandRequest) (*linepb.CommandReply, error) {
	l, err := s.find(r.GetLine())
	if err != nil {
		return nil, err
	}
	reply := &linepb.CommandReply{}
	call := line.Call(r.GetCall())
	switch r.GetVerb() {
	case linepb.CommandRequest_ANSWER:
		if err = l.rest(ctx); err == nil {
			err = l.line.Answer(ctx, call)
		}
	case linepb.CommandRequest_REJECT:
		err = l.line.Reject(ctx, call, causeFromPB(r.GetCause()))
	case linepb.CommandRequest_DIAL:
		if err = l.rest(ctx); err == nil {
			call, err = l.line.Dial(ctx, dialFromPB(r.GetDial()))
			reply.Call = uint64(call)
		}
	case linepb.CommandRequest_HANGUP:
		err = l.line.Hangup(ctx, call)
	case linepb.CommandRequest_SERVICE:
		err = l.line.Service(ctx, line.Service(r.GetService()))
	case linepb.CommandRequest_SHUTDOWN:
		err = l.line.Shutdown(ctx)
	default:
		err = &line.Error{Code: line.CodeUnsupported, Text: fmt.Sprintf("command %d", r.GetVerb())}
	}
	reply.Error = errorToPB(err)
	return reply, nil
}

// Data joins the host's stream with the lines.
func (s *server) Data(stream grpc.BidiStreamingServer[linepb.DataBatch, linepb.DataBatch]) error {
	if err := s.hosts.enter(stream.Context()); err != nil {
		return err
	}
	defer s.hosts.leave()
	host := s.welcome()
	done := make(chan struct{})
	sent := make(chan error, 1)
	go func() { sent <- s.out.run(done, stream.Send) }()
	defer func() {
		close(done)
		<-sent
	}()
	for {
		batch, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, d := range batch.GetData() {
			l, err := s.find(d.GetLine())
			if err != nil {
				return err
			}
			if n := d.GetCredit(); n > 0 {
				l.giveCredit(int(n))
			}
			if len(d.GetOctets()) == 0 {
				continue
			}
			select {
			case l.writes <- hostWrite{host, d}:
			default:
				return status.Errorf(codes.FailedPrecondition, "line %d: a write before the last one was answered", d.GetLine())
			}
		}
	}
}

// welcome numbers a new host: what the last one has not been told of its writes is of no use to it, and it has room for everything but what
// waits for it.
func (s *server) welcome() (host uint64) {
	waiting := s.out.rehost()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		l.update(func() {
			l.host++
			l.credit = lineWindow - waiting[l.index]
			host = l.host
		})
	}
	return host
}

// writeLoop carries out the host's writes, one after the other.
func (s *server) writeLoop(l *servedLine) {
	for {
		select {
		case <-l.gone:
			return
		case w := <-l.writes:
			if !l.isHost(w.host) {
				continue
			}
			n, err := l.write(w.data)
			if l.isHost(w.host) {
				s.out.add(&linepb.Data{Line: l.index, Call: w.data.GetCall(), Written: uint32(n), Error: errorToPB(err)})
			}
		}
	}
}

func (l *servedLine) isHost(host uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.host == host
}

// write writes what belongs to the present call.
func (l *servedLine) write(d *linepb.Data) (int, error) {
	l.mu.Lock()
	ok := l.call == d.GetCall()
	l.writing = ok
	l.mu.Unlock()
	if !ok {
		return 0, line.ErrNotConnected
	}
	defer l.update(func() { l.writing = false })
	return l.line.Write(d.GetOctets())
}

// update changes what the lock guards.
func (l *servedLine) update(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	l.change.Broadcast()
}

// begin makes room for a new call. A reader of the last call that still waits for room ends.
func (l *servedLine) begin(call uint64) {
	l.update(func() {
		l.call, l.over, l.credit = call, false, lineWindow
		l.readers++
	})
}

// end notes that the call is over.
func (l *servedLine) end() { l.update(func() { l.over = true }) }

// rest waits, before a new call is taken, until nobody reads or writes for the last one, whatever the host has left of it.
func (l *servedLine) rest(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { l.update(func() {}) })
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		return nil
	}
	l.call = 0
	l.change.Broadcast()
	for l.readers > 0 || l.writing {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.change.Wait()
	}
	return ctx.Err()
}

// readLoop passes on what a call receives, as far as the host has room, until the call's end.
func (s *server) readLoop(l *servedLine, call uint64) {
	defer l.update(func() { l.readers-- })
	buf := make([]byte, readSize)
	for l.awaitRoom(call) {
		n, err := l.line.Read(buf)
		if n > 0 {
			s.out.add(&linepb.Data{Line: l.index, Call: call, Octets: append([]byte(nil), buf[:n]...)})
			l.giveCredit(-n)
		}
		if err != nil && !errors.Is(err, line.ErrInvalid) { // ErrInvalid: an overlong frame of a synchronous line, dropped
			s.out.add(&linepb.Data{Line: l.index, Call: call, End: true})
			return
		}
	}
}

func (l *servedLine) giveCredit(n int) { l.update(func() { l.credit += n }) }

// awaitRoom waits until the host has room for more of the call; false: there is a later call.
func (l *servedLine) awaitRoom(call uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.call == call && l.credit <= 0 {
		l.change.Wait()
	}
	return l.call == call
}
