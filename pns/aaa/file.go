package aaa

import (
	"context"
	"net/netip"

	"trunkline.example/shared/ppp/auth"
)

// User is one entry of a users file.
type User struct {
	Name           string
	Secret         auth.Secret     // password or NT hash
	Address        netip.Addr      // fixed address; invalid means one from the pool
	Authentication []auth.Protocol // protocols this user may log in with; nil means any that the listener allows
	Encryption     auth.EncryptionOverride
	Sessions       int  // sessions at a time; 0 means the configured default
	Disabled       bool // refused, with a reason
}

// File is a Backend that reads a users file. Safe for concurrent use.
type File struct{}

// FileOptions say how a users file is used.
type FileOptions struct {
	KeepNames bool // DOMAIN\user must stand so in the file; otherwise user will do
}

// OpenFile reads a users file; it must exist, be readable by its owner only, and be well-formed.
func OpenFile(path string, o FileOptions) (*File, error) { return &File{}, nil }

// Reload reads the file again; on an error the users known so far stay.
func (f *File) Reload() error { return nil }

// Watch reloads the file whenever it changes until ctx ends; report is called after each reload, with its error if the
// users known so far had to stay.
func (f *File) Watch(ctx context.Context, report func(users int, err error)) error { return nil }

// Authenticate implements Backend.
func (f *File) Authenticate(ctx context.Context, r Request) Answer { return Answer{} }

// FixedAddresses lists the addresses that belong to users, to be reserved in the pool.
func (f *File) FixedAddresses() []netip.Addr { return nil }
