// Package logging builds the daemons' zap loggers and fixes the field keys that all of them share.
package logging

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Format is how log lines look.
type Format string

// The formats.
const (
	FormatText Format = "text" // one line for people: time, level, message, fields
	FormatJSON Format = "json" // one JSON object per line
)

// Config says what is logged, and where to. The zero Config logs at info level, as text, on standard error.
type Config struct {
	Level  string    // debug, info, warn or error; empty means info
	Format Format    // empty means text
	NoTime bool      // leave the time out, because what collects the lines stamps them
	Output io.Writer // nil means standard error
}

// New builds a logger; the level returned with it changes what it logs at once, for child loggers too.
func New(c Config) (*zap.Logger, zap.AtomicLevel, error) {
	level := zap.NewAtomicLevel()
	if err := SetLevel(level, c.Level); err != nil {
		return nil, level, err
	}
	e := zap.NewProductionEncoderConfig()
	e.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	e.EncodeDuration = zapcore.StringDurationEncoder
	e.TimeKey, e.LevelKey, e.MessageKey = "time", "level", "message"
	if c.NoTime {
		e.TimeKey = zapcore.OmitKey
	}
	var encoder zapcore.Encoder
	switch c.Format {
	case FormatJSON:
		encoder = zapcore.NewJSONEncoder(e)
	case FormatText, "":
		e.EncodeTime = zapcore.TimeEncoderOfLayout("2006-01-02T15:04:05.000Z07:00")
		e.EncodeLevel = zapcore.CapitalLevelEncoder
		e.ConsoleSeparator = " "
		encoder = zapcore.NewConsoleEncoder(e)
	default:
		return nil, level, fmt.Errorf("log format %q is neither %q nor %q", c.Format, FormatText, FormatJSON)
	}
	out := c.Output
	if out == nil {
		out = os.Stderr
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(out)), level)
	return zap.New(core), level, nil
}

// SetLevel sets a level by its name: debug, info, warn, error; empty means info.
func SetLevel(level zap.AtomicLevel, name string) error {
	switch name {
	case "":
		level.SetLevel(zap.InfoLevel)
	case "debug", "info", "warn", "error":
		parsed, err := zapcore.ParseLevel(name)
		if err != nil {
			return err
		}
		level.SetLevel(parsed)
	default:
		return fmt.Errorf("log level %q is none of debug, info, warn, error", name)
	}
	return nil
}
