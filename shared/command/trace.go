package command

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"trunkline.example/shared/admin"
	"trunkline.example/shared/trace"
)

// TraceSubject is something that a trace can be of: a flag, what it says, and where in the request that goes.
type TraceSubject struct {
	flag, help string
	field      func(*admin.TraceRequest) *string
}

// The subjects of traces.
var (
	TraceCall = TraceSubject{"call", "the call of this number, until it ends", func(r *admin.TraceRequest) *string { return &r.Call }}
	TracePeer = TraceSubject{"peer", "everything with the peer of this address", func(r *admin.TraceRequest) *string { return &r.Peer }}
	TraceLine = TraceSubject{"line", "all calls of this line", func(r *admin.TraceRequest) *string { return &r.Line }}
	TraceUser = TraceSubject{"user", "the session of this user, until it ends", func(r *admin.TraceRequest) *string { return &r.User }}
)

// traceGrace is how long a trace that is interrupted may take to deliver its end.
const traceGrace = 5 * time.Second

// tracer is one use of the command.
type tracer struct {
	asker    *Asker
	request  admin.TraceRequest
	subjects []TraceSubject
	file     string
}

// Trace makes the command trace of a daemon that knows those subjects.
func Trace(daemon string, subjects ...TraceSubject) *cobra.Command {
	t := &tracer{asker: NewAsker(daemon), subjects: subjects}
	var names []string
	for _, s := range subjects {
		names = append(names, "--"+s.flag+" "+strings.ToUpper(s.flag))
	}
	cmd := t.asker.SocketFlag(&cobra.Command{
		Use: "trace " + strings.Join(names, "|"), Short: "record a call or a peer as a pcapng file, for Wireshark", Args: cobra.NoArgs,
		Long: "Record a call or a peer as a pcapng file, to be opened with Wireshark: control messages, GRE packets, PPP frames on lines, and what\n" +
			"happens, as text. Passwords and the responses of CHAP are blanked, unless --secrets is given; what users send is not.\n" +
			"It goes on until the call ends, a bound is reached, or Ctrl-C. The daemon never waits for it: what cannot be written in time is\n" +
			"dropped, and counted in the file.",
		RunE: func(cmd *cobra.Command, _ []string) error { return t.run(cmd) },
	})
	o := cmd.Flags()
	for _, s := range subjects {
		o.StringVar(s.field(&t.request), s.flag, "", s.help)
	}
	o.StringVarP(&t.file, "write", "w", "-", "file to write, which must not exist; -: standard output")
	o.BoolVar(&t.request.Secrets, "secrets", false, "leave passwords and responses as they are on the wire (root only)")
	o.IntVar(&t.request.SnapLength, "snaplen", 0, "octets to keep of each packet (default: all)")
	o.DurationVar(&t.request.Duration, "duration", trace.DefaultDuration, "time after which it ends")
	o.Int64Var(&t.request.Octets, "size", trace.DefaultOctets, "octets of the file after which it ends")
	return cmd
}

func (t *tracer) run(cmd *cobra.Command) error {
	if err := t.check(cmd.OutOrStdout()); err != nil {
		return Usage(err)
	}
	out := &traceOutput{path: t.file, stdout: cmd.OutOrStdout(), opened: func() {
		fmt.Fprintln(cmd.ErrOrStderr(), "tracing; Ctrl-C ends it")
	}}
	summary, err := t.record(cmd.Context(), out)
	if err := errors.Join(err, out.close()); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d packets, %d octets, %d packets dropped; the trace has ended: %s\n", summary.Packets, summary.Octets, summary.Dropped, summary.Reason)
	return nil
}

// check looks for wrong usage.
func (t *tracer) check(stdout io.Writer) error {
	var flags []string
	given := 0
	for _, s := range t.subjects {
		flags = append(flags, "--"+s.flag)
		if *s.field(&t.request) != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return fmt.Errorf("one of %s must say what to trace", strings.Join(flags, ", "))
	case t.request.Duration <= 0 || t.request.Octets <= 0:
		return errors.New("--duration and --size must be more than nothing")
	}
	if t.file != "-" {
		if _, err := os.Lstat(t.file); err == nil {
			return fmt.Errorf("%s: %w; it is not written over", t.file, fs.ErrExist)
		}
		return nil
	}
	if f, ok := stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return errors.New("a trace is not for a terminal: name a file (-w FILE), or send it to a program (| wireshark -k -i -)")
	}
	return nil
}

// record runs the trace. When ctx ends, the daemon is asked to end it, and what is on its way is still taken.
func (t *tracer) record(ctx context.Context, w io.Writer) (summary trace.Summary, err error) {
	t.request.ID = rand.Text()
	client := t.asker.Client()
	running, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(running, traceGrace)
		defer cancel()
		if client.Post(limit, admin.PathTraceStop, admin.TraceStop{ID: t.request.ID}, nil) == nil {
			<-limit.Done()
		}
		abandon()
	})()
	err = client.Octets(running, admin.PathTrace, t.request, w, &summary)
	return summary, err
}

// traceOutput opens its file at the first octet: a trace that is refused leaves nothing.
type traceOutput struct {
	path   string
	stdout io.Writer
	opened func()
	w      io.Writer
	file   *os.File
}

func (o *traceOutput) Write(p []byte) (int, error) {
	if o.w == nil {
		o.w = o.stdout
		if o.path != "-" {
			var err error
			if o.file, err = os.OpenFile(o.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
				return 0, err
			}
			o.w = o.file
		}
		o.opened()
	}
	return o.w.Write(p)
}

func (o *traceOutput) close() error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}
