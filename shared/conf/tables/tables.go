// Package tables is what the configuration files of both daemons have in common: the tables [admin], [records] and [log].
// Each type is decoded from its table as it is and then checked.
package tables

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"trunkline.example/shared/admin"
	"trunkline.example/shared/conf"
	"trunkline.example/shared/logging"
)

// Fail takes what is wrong with the value of a key, in the format of fmt.Errorf.
type Fail func(key, format string, args ...any)

// longestSocket is how long the path of a Unix socket may be, in octets (unix(7): sun_path, with a NUL).
const longestSocket = 107

// Admin is [admin], the operator's socket.
type Admin struct {
	Socket string `toml:"socket"` // path; empty means none
	Group  string `toml:"group"`  // whose members may use it besides root; empty means the daemon's own
	Mode   Mode   `toml:"mode"`
}

// DefaultAdmin is [admin] of a daemon ("pac", "pns") where its file says nothing.
func DefaultAdmin(daemon string) Admin {
	return Admin{Socket: "/run/trunkline/" + daemon + ".sock", Mode: 0o660}
}

// Check reports values that cannot be used.
func (a Admin) Check(fail Fail) {
	if a.Socket != "" && (!filepath.IsAbs(a.Socket) || len(a.Socket) > longestSocket) {
		fail("admin.socket", "%q is not an absolute path of at most %d octets", a.Socket, longestSocket)
	}
	switch {
	case a.Mode&0o600 != 0o600:
		fail("admin.mode", "\"%v\" does not let the owner read and write, as \"0660\" does", a.Mode)
	case a.Mode&0o007 != 0:
		fail("admin.mode", "\"%v\" would let everybody control the daemon", a.Mode)
	}
}

// Options are those of the server on the socket; the logger is missing.
func (a Admin) Options() admin.ServerOptions {
	return admin.ServerOptions{Socket: a.Socket, Group: a.Group, Mode: os.FileMode(a.Mode)}
}

// Mode are the permissions of a file, written in octal: "0660".
type Mode os.FileMode

// UnmarshalText parses the text.
func (m *Mode) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 8, 16)
	if err != nil || v > 0o777 {
		return fmt.Errorf("%q is not an octal mode, as in \"0660\"", text)
	}
	*m = Mode(v)
	return nil
}

// MarshalText renders the mode as it is written.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// String renders the mode as it is written.
func (m Mode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// Records is [records], the file of call records.
type Records struct {
	File string        `toml:"file"` // empty means none
	Sync conf.Duration `toml:"sync"` // how long a record may be written but not yet be safe on the disk; 0 means each is made safe at once
}

// DefaultRecords is [records] of a daemon ("pac", "pns") where its file says nothing.
func DefaultRecords(daemon string) Records {
	return Records{File: "/var/log/trunkline/" + daemon + "-calls.jsonl"}
}

// Log is [log].
type Log struct {
	Level  string         `toml:"level"` // debug, info, warn or error
	Format logging.Format `toml:"format"`
	Time   bool           `toml:"time"` // each line begins with the time
}

// DefaultLog is [log] where the file says nothing.
func DefaultLog() Log { return Log{Level: "info", Format: logging.FormatText, Time: true} }

// Check reports values that cannot be used.
func (l Log) Check(fail Fail) {
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, l.Level) {
		fail("log.level", "%q is none of \"debug\", \"info\", \"warn\", \"error\"", l.Level)
	}
	if l.Format != logging.FormatText && l.Format != logging.FormatJSON {
		fail("log.format", "%q is neither \"text\" nor \"json\"", l.Format)
	}
}

// Config is what the logger is made of.
func (l Log) Config() logging.Config {
	return logging.Config{Level: l.Level, Format: l.Format, NoTime: !l.Time}
}
