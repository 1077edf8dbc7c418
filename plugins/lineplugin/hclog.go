package lineplugin

import (
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"trunkline.example/shared/logging"
)

// A driver that has something to say may log so many lines in such a time, and none that is longer.
const (
	childLines = 200
	childSpan  = 10 * time.Second
	childLine  = 2048
)

// zapHclog is an hclog.Logger that writes to zap. go-plugin logs what a driver prints through it.
type zapHclog struct {
	log   *zap.Logger
	name  string
	args  []any
	child *allowance // what comes is the driver's; nil: it is go-plugin's own
}

// allowance is how much a driver may still log. It is used by the one goroutine that reads what the driver prints.
type allowance struct {
	since      time.Time
	lines      int // since then
	suppressed int
}

// take says whether a line is logged, and tells how many were not.
func (a *allowance) take(log *zap.Logger) bool {
	if now := time.Now(); now.Sub(a.since) >= childSpan {
		a.since, a.lines = now, 0
	}
	if a.lines++; a.lines > childLines {
		a.suppressed++
		return false
	}
	if a.suppressed > 0 {
		log.Warn("the driver says too much: lines were not logged", zap.Int(logging.KeyCount, a.suppressed))
		a.suppressed = 0
	}
	return true
}

// ChildLogger is the logger of a driver's process: what it writes to standard error, the host logs with its level and fields.
func ChildLogger() *zap.Logger {
	e := zap.NewProductionEncoderConfig()
	e.MessageKey, e.LevelKey, e.TimeKey, e.CallerKey, e.StacktraceKey = "@message", "@level", "@timestamp", zapcore.OmitKey, "stack"
	e.EncodeTime = zapcore.TimeEncoderOfLayout("2006-01-02T15:04:05.000000Z07:00")
	e.EncodeDuration = zapcore.StringDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(e), zapcore.Lock(os.Stderr), zap.InfoLevel))
}

func newHclog(log *zap.Logger) hclog.Logger { return &zapHclog{log: log} }

var levels = map[hclog.Level]zapcore.Level{
	hclog.Debug: zap.DebugLevel, hclog.Info: zap.InfoLevel, hclog.Warn: zap.WarnLevel, hclog.Error: zap.ErrorLevel,
}

// Log logs at that level; there is none for Trace.
func (h *zapHclog) Log(level hclog.Level, message string, args ...any) {
	to, ok := levels[level]
	if !ok {
		return
	}
	if h.child != nil && len(message) > childLine {
		message = message[:childLine] + "..."
	}
	if checked := h.log.Check(to, message); checked != nil && (h.child == nil || h.child.take(h.log)) {
		checked.Write(fields(append(append([]any{}, h.args...), args...))...)
	}
}

func fields(args []any) []zap.Field {
	var out []zap.Field
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == "timestamp" { // ours is near enough
			continue
		}
		out = append(out, zap.Any(fmt.Sprint(args[i]), args[i+1]))
	}
	return out
}

// Trace does nothing: go-plugin traces every piece of a driver's output.
func (h *zapHclog) Trace(string, ...any) {}

func (h *zapHclog) Debug(message string, args ...any) { h.Log(hclog.Debug, message, args...) }

// What a driver finds worth telling of its calls, the concentrator tells as well: Info becomes Debug. All that go-plugin itself says is about
// the start and end of a process, which the supervisor tells better.
func (h *zapHclog) Info(message string, args ...any)  { h.Log(hclog.Debug, message, args...) }
func (h *zapHclog) Warn(message string, args ...any)  { h.Log(h.of(hclog.Warn), message, args...) }
func (h *zapHclog) Error(message string, args ...any) { h.Log(h.of(hclog.Error), message, args...) }

func (h *zapHclog) of(level hclog.Level) hclog.Level {
	if h.child != nil {
		return level
	}
	return hclog.Debug
}

func (h *zapHclog) IsTrace() bool { return false }
func (h *zapHclog) IsDebug() bool { return h.log.Core().Enabled(zap.DebugLevel) }
func (h *zapHclog) IsInfo() bool  { return h.log.Core().Enabled(zap.InfoLevel) }
func (h *zapHclog) IsWarn() bool  { return h.log.Core().Enabled(zap.WarnLevel) }
func (h *zapHclog) IsError() bool { return h.log.Core().Enabled(zap.ErrorLevel) }

func (h *zapHclog) ImpliedArgs() []any { return h.args }
func (h *zapHclog) Name() string       { return h.name }

func (h *zapHclog) With(args ...any) hclog.Logger {
	return &zapHclog{log: h.log, name: h.name, args: append(append([]any{}, h.args...), args...), child: h.child}
}

// Named is what go-plugin makes the logger of a child's output with.
func (h *zapHclog) Named(name string) hclog.Logger {
	return &zapHclog{log: h.log, name: name, args: h.args, child: &allowance{}}
}

func (h *zapHclog) ResetNamed(name string) hclog.Logger { return h.Named(name) }

// SetLevel does nothing: the level is the daemon's.
func (h *zapHclog) SetLevel(hclog.Level) {}

func (h *zapHclog) GetLevel() hclog.Level {
	if h.IsDebug() {
		return hclog.Debug
	}
	return hclog.Info
}

func (h *zapHclog) StandardLogger(o *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(h.StandardWriter(o), "", 0)
}

func (h *zapHclog) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return &zapio{h}
}

// zapio turns lines into log entries.
type zapio struct{ h *zapHclog }

func (z *zapio) Write(p []byte) (int, error) {
	z.h.Debug(string(p))
	return len(p), nil
}
