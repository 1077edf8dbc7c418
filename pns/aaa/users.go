package aaa

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"syscall"

	"trunkline.example/shared/conf"
	"trunkline.example/shared/ppp/auth"
)

// User is one entry of a users file.
type User struct {
	Name           string
	Secret         auth.Secret     // password or NT hash
	Address        netip.Addr      // fixed address; invalid means one from the pool
	Authentication []auth.Protocol // protocols this user may log in with; nil means any that the listener allows
	Encryption     auth.EncryptionOverride
	Sessions       int // sessions at a time; 0 means the configured default
	Rates          Rates
	Filter         Filter
	Routes         []netip.Prefix // networks behind the user
	Disabled       bool           // refused, with a reason
}

// rawFile is a users file as it is written.
type rawFile struct {
	User []rawUser `toml:"user"`
}

type rawUser struct {
	Name           string        `toml:"name"`
	Password       *string       `toml:"password"`
	NTHash         *hash         `toml:"nt_hash"`
	Address        conf.Addr     `toml:"address"`
	Authentication []Protocol    `toml:"authentication"`
	Encryption     encryption    `toml:"encryption"`
	Sessions       int           `toml:"sessions"`
	RateIn         *conf.BitRate `toml:"rate_in"`
	RateOut        *conf.BitRate `toml:"rate_out"`
	Filter         *string       `toml:"filter"`
	Routes         []conf.Prefix `toml:"routes"`
	Disabled       bool          `toml:"disabled"`
}

// hash is an NT hash as 32 hexadecimal digits.
type hash [16]byte

func (h *hash) UnmarshalText(text []byte) error {
	if n, err := hex.Decode(h[:], text[:min(len(text), 32)]); err != nil || n != len(h) || len(text) != 32 {
		return errors.New("not an NT hash: 32 hexadecimal digits") // the text itself is a secret
	}
	return nil
}

// encryption is an override with the words of the server's configuration.
type encryption struct{ auth.EncryptionOverride }

var encryptionWords = map[string]auth.EncryptionOverride{
	"required": auth.EncryptionRequired, "preferred": auth.EncryptionAllowed, "none": auth.EncryptionForbidden,
}

func (e *encryption) UnmarshalText(text []byte) error {
	override, ok := encryptionWords[string(text)]
	if !ok {
		return fmt.Errorf("%q is none of \"required\", \"preferred\", \"none\"", text)
	}
	e.EncryptionOverride = override
	return nil
}

// ParseUsers reads a users file; file only serves the error texts, which are of type conf.Errors and never show a secret.
func ParseUsers(file string, data []byte) ([]User, error) {
	document, err := conf.Parse(file, data)
	if err != nil {
		return nil, hideValues(err)
	}
	var raw rawFile
	if err := document.Decode(&raw); err != nil {
		return nil, hideValues(err)
	}
	var users []User
	var wrong conf.Errors
	names, addresses := map[string]int{}, map[netip.Addr]int{}
	for i := range raw.User {
		key := fmt.Sprintf("user[%d]", i)
		fail := func(name, format string, args ...any) {
			wrong = append(wrong, document.Errorf(key+name, format, args...))
		}
		u := raw.User[i].check(fail)
		if first, ok := names[u.Name]; ok {
			fail(".name", "%q is the name of user[%d] too", u.Name, first)
		}
		names[u.Name] = i
		if first, ok := addresses[u.Address]; ok && u.Address.IsValid() {
			fail(".address", "%v is the address of user[%d] too", u.Address, first)
		}
		addresses[u.Address] = i
		users = append(users, u)
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return users, nil
}

// hideValues replaces the texts about password keys that may quote a value.
func hideValues(err error) error {
	var all conf.Errors
	if errors.As(err, &all) {
		for _, e := range all {
			if strings.HasSuffix(e.Key, "password") || strings.HasSuffix(e.Key, "nt_hash") {
				e.Err = errors.New("must be a string in quotes, given once")
			}
		}
	}
	return err
}

// check turns an entry into a User, and reports what is wrong with it.
func (r *rawUser) check(fail func(key, format string, args ...any)) User {
	u := User{Name: r.Name, Address: r.Address.Addr, Encryption: r.Encryption.EncryptionOverride, Sessions: r.Sessions, Disabled: r.Disabled}
	if r.Filter != nil {
		u.Filter = Filter{Own: true, Name: *r.Filter}
	}
	u.Rates = Rates{rateOf(r.RateIn), rateOf(r.RateOut)}
	for i, one := range r.Routes {
		p := one.Prefix.Masked()
		if !p.Addr().Is4() || p.Bits() == 0 || p.Addr().IsMulticast() || p.Addr().IsLoopback() {
			fail(fmt.Sprintf(".routes[%d]", i), "%v is no IPv4 network that can lie behind a user", one.Prefix)
		}
		u.Routes = append(u.Routes, p)
	}
	if err := checkName(r.Name); err != nil {
		fail(".name", "%w", err)
	}
	switch {
	case r.Password != nil && r.NTHash != nil:
		fail(".nt_hash", "stands beside a password: one of them must go")
	case r.Password != nil && *r.Password == "":
		fail(".password", "empty")
	case r.Password != nil:
		u.Secret = auth.PlainSecret(*r.Password)
	case r.NTHash != nil:
		u.Secret = auth.HashSecret(*r.NTHash)
	default:
		fail("", "user %q has neither password nor nt_hash", r.Name)
	}
	if a := r.Address.Addr; a.IsValid() && (!a.Is4() || a.IsUnspecified() || a.IsMulticast()) {
		fail(".address", "%v is not an IPv4 address for a host", a)
	}
	if r.Sessions < 0 {
		fail(".sessions", "%d is less than 0", r.Sessions)
	}
	keys := r.Authentication == nil
	for _, p := range r.Authentication {
		u.Authentication = append(u.Authentication, p.Protocol)
		keys = keys || p.GivesKeys()
	}
	if r.Authentication != nil && len(r.Authentication) == 0 {
		fail(".authentication", "empty: the user could never log in; write disabled = true instead")
	} else if !keys && u.Encryption == auth.EncryptionRequired {
		fail(".encryption", "cannot be required: none of the user's authentication protocols gives keys")
	}
	return u
}

func rateOf(r *conf.BitRate) Rate {
	if r == nil {
		return Rate{}
	}
	return Rate{Own: true, PerSecond: r.PerSecond}
}

// checkName refuses names that could not be told apart in a log, or that PPP cannot carry.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("missing")
	case len(name) > 255:
		return fmt.Errorf("%d octets are more than the 255 that PPP can carry", len(name))
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%q holds control characters, or is no UTF-8", name)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("%q begins or ends with a space", name)
	}
	return nil
}

// ErrMode is wrapped when a users file can be read by others than its owner.
var ErrMode = errors.New("holds passwords and may be read or written by others")

// readFile reads a users file and checks who else can.
func readFile(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, info, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, info, fmt.Errorf("%s %w (mode %04o): chmod 600 %s", path, ErrMode, info.Mode().Perm(), path)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return nil, info, fmt.Errorf("%s belongs to user %d, neither to root nor to this process's user %d", path, stat.Uid, os.Geteuid())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is longer than %d octets", path, maxFile)
	}
	return data, info, err
}

// maxFile is the longest users file that is read, in octets: some hundred thousand users.
const maxFile = 64 << 20
