package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline.example/shared/logging"
)

// QueueLength is the bound of a Writer's queue, in records.
const QueueLength = 4096

// retryEvery is how long a Writer waits between attempts to write to a file that fails.
const retryEvery = 5 * time.Second

// ErrClosed is returned after Close.
var ErrClosed = errors.New("call records: the writer is closed")

// Options say how a Writer treats its file.
type Options struct {
	// Sync is how long a record may be written but not yet synced to the disk; 0 means that each is synced at once.
	Sync time.Duration
	// Report is called by the Writer's goroutine when writing begins to fail, and with a nil error when it works again.
	// It must not call the Writer. May be nil.
	Report func(error)
}

// LogTo is a Report that tells a log.
func LogTo(log *zap.Logger, file string) func(error) {
	log = log.With(zap.String(logging.KeyFile, file))
	return func(err error) {
		if err != nil {
			log.Error("call records cannot be written", zap.Error(err))
			return
		}
		log.Info("call records are written again")
	}
}

// Counters tell what became of the records.
type Counters struct {
	Written uint64 // in the file
	Lost    uint64 // refused by Append because the queue was full, or unwritten at Close
	Waiting int    // queued
}

// Writer appends records to a file from a goroutine of its own, so that Append never waits for a disk. While the file
// cannot be written (disk full), records wait in the queue and the Writer tries again every few seconds. Safe for
// concurrent use.
type Writer struct {
	options Options
	open    func() (file, error)
	queue   chan Record
	reopen  chan chan error
	stop    chan struct{}
	done    chan struct{}
	written atomic.Uint64
	lost    atomic.Uint64

	mu     sync.RWMutex // held for reading while a record is queued, so that Close sees them all
	closed bool
	err    error // of the end, valid after done
}

// file is what a Writer wants of an *os.File.
type file interface {
	io.WriteCloser
	Sync() error
}

// Open opens the file for appending, making it (mode 0640) and its directory (0750) as needed.
func Open(path string, o Options) (*Writer, error) {
	return start(o, func() (file, error) {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return nil, fmt.Errorf("call records: %w", err)
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
		if err != nil {
			return nil, fmt.Errorf("call records: %w", err)
		}
		return f, nil
	})
}

func start(o Options, open func() (file, error)) (*Writer, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	w := &Writer{options: o, open: open, queue: make(chan Record, QueueLength), reopen: make(chan chan error),
		stop: make(chan struct{}), done: make(chan struct{})}
	go w.run(f)
	return w, nil
}

// Append queues a record; it never blocks. It returns false when the record is lost, because the queue is full or the
// Writer closed; such records are counted.
func (w *Writer) Append(r Record) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if !w.closed {
		r.Version = Version
		select {
		case w.queue <- r:
			return true
		default:
		}
	}
	w.lost.Add(1)
	return false
}

// Reopen closes the file and opens it by its name again, after somebody has moved it away. If that fails the old file
// stays in use.
func (w *Writer) Reopen() error {
	reply := make(chan error, 1)
	select {
	case w.reopen <- reply:
		return <-reply
	case <-w.done:
		return ErrClosed
	}
}

// Counters tell what became of the records so far.
func (w *Writer) Counters() Counters {
	return Counters{Written: w.written.Load(), Lost: w.lost.Load(), Waiting: len(w.queue)}
}

// Close writes and syncs what is queued, and closes the file. The error tells that records were lost.
func (w *Writer) Close() error {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	w.mu.Unlock()
	if first {
		close(w.stop)
	}
	<-w.done
	return w.err
}

// sink is the file and what is on the way into it; owned by the Writer's goroutine.
type sink struct {
	file    file
	pending []byte // lines not yet written; what is left of them after an error
	begun   []byte // what the file has already of the line that pending begins with
	records uint64 // in pending
	failing bool
	dirty   bool        // written but not synced
	retry   *time.Timer // set while failing
	sync    *time.Timer // set while dirty
}

func (w *Writer) run(f file) {
	defer close(w.done)
	s := &sink{file: f, retry: stopped(), sync: stopped()}
	if torn(f) {
		s.pending = []byte("\n")
		w.flush(s)
	}
	for {
		queue := w.queue
		if len(s.pending) > 0 {
			queue = nil
		}
		select {
		case r := <-queue:
			w.collect(s, r)
			w.flush(s)
		case <-s.retry.C:
			w.flush(s)
		case <-s.sync.C:
			s.dirty = false
			w.report(s, s.file.Sync())
		case reply := <-w.reopen:
			reply <- w.exchange(s)
			w.flush(s)
		case <-w.stop:
			w.finish(s)
			return
		}
	}
}

// torn tells of a file that ends within a line, as a full disk and a crash may leave it: the next record must not become part of that.
func torn(f file) bool {
	readable, ok := f.(*os.File)
	if !ok {
		return false
	}
	info, err := readable.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	var last [1]byte
	_, err = readable.ReadAt(last[:], info.Size()-1)
	return err == nil && last[0] != '\n'
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// collect takes r and what else is queued by now, so that they are written and synced together.
func (w *Writer) collect(s *sink, r Record) {
	for {
		line, err := json.Marshal(r)
		if err != nil { // a Record holds nothing that JSON cannot, but a time out of its range
			w.lost.Add(1)
			w.report(s, fmt.Errorf("call records: record %s: %w", r.ID, err))
		} else {
			s.pending = append(append(s.pending, line...), '\n')
			s.records++
		}
		select {
		case r = <-w.queue:
		default:
			return
		}
	}
}

// flush writes what is pending; on an error the rest stays pending and a retry is set.
func (w *Writer) flush(s *sink) {
	if len(s.pending) == 0 {
		return
	}
	n, err := s.file.Write(s.pending)
	if end := bytes.LastIndexByte(s.pending[:n], '\n'); end >= 0 {
		s.begun = append([]byte(nil), s.pending[end+1:n]...)
	} else {
		s.begun = append(s.begun, s.pending[:n]...)
	}
	s.pending = s.pending[n:]
	if err == nil {
		w.written.Add(s.records)
		s.pending, s.records = nil, 0
		switch {
		case w.options.Sync <= 0:
			err = s.file.Sync()
		case !s.dirty:
			s.dirty = true
			s.sync.Reset(w.options.Sync)
		}
	} else {
		s.retry.Reset(retryEvery)
	}
	w.report(s, err)
}

func (w *Writer) report(s *sink, err error) {
	failing := err != nil
	if failing != s.failing && w.options.Report != nil {
		w.options.Report(err)
	}
	s.failing = failing
}

func (w *Writer) exchange(s *sink) error {
	next, err := w.open()
	if err != nil {
		return err
	}
	err = errors.Join(s.file.Sync(), s.file.Close())
	s.file = next
	s.pending, s.begun = append(s.begun, s.pending...), nil // a line is in one file as a whole
	if torn(next) {
		s.pending = append([]byte("\n"), s.pending...)
	}
	return err
}

func (w *Writer) finish(s *sink) {
	select {
	case r := <-w.queue:
		w.collect(s, r)
	default:
	}
	w.flush(s)
	if len(s.pending) > 0 {
		w.lost.Add(s.records)
		w.err = fmt.Errorf("call records: %d could not be written", s.records)
	}
	w.err = errors.Join(w.err, s.file.Sync(), s.file.Close())
	s.retry.Stop()
	s.sync.Stop()
}
