package pac

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pac/config"
)

// budget counts the calls that were dialled in the last hour. With a file the count outlives the daemon: it has one line for each call, the time
// in RFC 3339.
type budget struct {
	key  string // that sets the limit
	file string // "": none
	log  *zap.Logger

	mu      sync.Mutex
	made    []time.Time
	lines   int  // of the file, with those that count no more
	failing bool // the file cannot be written, which has been reported
}

// openBudget reads what was dialled before. A file that cannot be read or written is reported, and calls are counted without it. Where nothing may be
// dialled, none is made.
func openBudget(d config.Dialout, now time.Time, log *zap.Logger) *budget {
	b := &budget{key: "dialout.calls_per_hour", file: d.State, log: log}
	if b.file == "" {
		return b
	}
	text, err := os.ReadFile(b.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.report(err)
		return b
	}
	if foreign(text) {
		b.log.Error("the file for dialled calls has something else in it: it is left as it is, and after a restart the hour's count begins anew (dialout.state)",
			zap.String("file", b.file))
		b.file = ""
		return b
	}
	for i, field := range bytes.Fields(text) {
		at, err := time.Parse(time.RFC3339Nano, string(field))
		if err != nil {
			b.log.Warn("the file of dialled calls has a line that is no time; it is left out", zap.String("file", b.file), zap.Int("line", i+1), zap.Error(err))
			continue
		}
		b.made = append(b.made, at)
	}
	b.forget(now)
	if len(text) > 0 || len(d.Allow) > 0 && d.CallsPerHour > 0 {
		b.rewrite()
	}
	return b
}

// foreign says whether a file is certainly not ours, and lost if it were made anew: no line is a time, nor what a crash leaves of one.
func foreign(text []byte) bool {
	isTime := func(field []byte) bool {
		_, err := time.Parse(time.RFC3339Nano, string(field))
		return err == nil
	}
	return !slices.ContainsFunc(bytes.Fields(text), isTime) && strings.Trim(string(text), "0123456789-:.TZ \x00\r\n") != ""
}

// take says whether one more call may be made, and counts it. The error says why not.
func (b *budget) take(now time.Time, limit int) error {
	if limit == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	if len(b.made) >= limit {
		return fmt.Errorf("%d calls were made in the last hour, and it may have no more (%s); the next is possible at %s",
			len(b.made), b.key, b.made[len(b.made)-limit].Add(time.Hour).Format(time.TimeOnly))
	}
	b.made = append(b.made, now)
	if b.file == "" {
		return nil
	}
	if b.lines++; b.lines > 2*len(b.made)+100 {
		b.rewrite()
	} else {
		b.report(b.add(now))
	}
	return nil
}

// forget drops what is not of the last hour. A time that is to come was written when the clock was wrong: it may count for an hour, not longer.
func (b *budget) forget(now time.Time) {
	b.made = slices.DeleteFunc(b.made, func(at time.Time) bool { return now.Sub(at).Abs() >= time.Hour })
}

// add writes one call at the end of the file.
func (b *budget) add(at time.Time) error {
	f, err := os.OpenFile(b.file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(entry(at))
	return errors.Join(err, f.Close())
}

// rewrite makes the file anew, with what counts.
func (b *budget) rewrite() {
	var text []byte
	for _, at := range b.made {
		text = append(text, entry(at)...)
	}
	fresh := b.file + ".new"
	err := os.MkdirAll(filepath.Dir(b.file), 0o750)
	if err == nil {
		err = os.WriteFile(fresh, text, 0o600)
	}
	if err == nil {
		err = os.Rename(fresh, b.file)
	}
	b.lines = len(b.made)
	b.report(err)
}

func entry(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) + "\n" }

// report says once that the file cannot be used.
func (b *budget) report(err error) {
	if err != nil && !b.failing {
		b.log.Warn("calls that are dialled cannot be noted: after a restart the hour's count begins anew (dialout.state)", zap.String("file", b.file), zap.Error(err))
	}
	b.failing = err != nil
}
