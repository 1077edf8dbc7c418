package aaa

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"trunkline.example/shared/ppp/auth"
)

// PollInterval is how often Watch looks at the file.
const PollInterval = time.Second

// File is a Backend that reads a users file. Safe for concurrent use.
type File struct {
	path    string
	options FileOptions

	reload sync.Mutex // one reader at a time
	mu     sync.RWMutex
	users  map[string]User
	stamp  stamp // of the file that users came from
}

// FileOptions say how a users file is used.
type FileOptions struct {
	KeepNames bool // DOMAIN\user must stand so in the file; otherwise user will do
}

// stamp tells one state of a file from the next; zero: there is no file.
type stamp struct {
	modified time.Time
	size     int64
	mode     fs.FileMode
	inode    uint64
}

// OpenFile reads a users file. It must be readable by its owner only and be well-formed. A file that does not exist
// holds no users; it may come later.
func OpenFile(path string, o FileOptions) (*File, error) {
	f := &File{path: path, options: o}
	if err := f.Reload(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return f, nil
}

// Reload reads the file again; on an error the users known so far stay. A file that has gone is such an error, of
// fs.ErrNotExist.
func (f *File) Reload() error {
	f.reload.Lock()
	defer f.reload.Unlock()
	data, info, err := readFile(f.path)
	if err != nil {
		return fmt.Errorf("users file: %w", err)
	}
	users, err := ParseUsers(f.path, data)
	if err != nil {
		return err
	}
	known := make(map[string]User, len(users))
	for _, u := range users {
		known[u.Name] = u
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users, f.stamp = known, stampOf(info)
	return nil
}

// Len is the number of users.
func (f *File) Len() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.users)
}

// Users lists the users by name.
func (f *File) Users() []User {
	f.mu.RLock()
	defer f.mu.RUnlock()
	all := make([]User, 0, len(f.users))
	for _, u := range f.users {
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b User) int { return compareNames(a.Name, b.Name) })
	return all
}

// FixedAddresses lists the addresses that belong to users, to be reserved in the pool.
func (f *File) FixedAddresses() []netip.Addr {
	var all []netip.Addr
	for _, u := range f.Users() {
		if u.Address.IsValid() {
			all = append(all, u.Address)
		}
	}
	return all
}

// Watch reloads the file whenever it has changed and come to rest, until ctx ends. report is called after each reload
// with the number of users, and with the error if the users known so far had to stay; once per state of the file.
func (f *File) Watch(ctx context.Context, report func(users int, err error)) {
	ticker := time.NewTicker(PollInterval)
	defer ticker.Stop()
	f.mu.RLock()
	done := f.stamp
	f.mu.RUnlock()
	last := done
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := f.look()
		if now != done && now == last { // an editor may still be writing: wait until two looks agree
			done = now
			report(f.reported())
		}
		last = now
	}
}

func (f *File) reported() (int, error) {
	err := f.Reload()
	return f.Len(), err
}

// look tells the present state of the file.
func (f *File) look() stamp {
	info, err := os.Stat(f.path)
	if err != nil {
		return stamp{}
	}
	return stampOf(info)
}

// Authenticate implements Backend. It does not block.
func (f *File) Authenticate(_ context.Context, r Request) Answer {
	u := f.lookUp(r.User)
	v := auth.Verify(r.Attempt, u.Secret)
	if !v.OK {
		return Answer{Verdict: v}
	}
	refuse := func(code auth.FailureCode, reason string) Answer {
		return Answer{Verdict: auth.Verdict{Generation: r.Generation, User: u.Name, Code: code, Reason: reason}}
	}
	// Only who has the password learns more than that the login failed.
	if u.Disabled {
		return refuse(auth.FailureAccountDisabled, "the user is disabled")
	}
	if u.Authentication != nil && !slices.Contains(u.Authentication, r.Protocol) {
		return refuse(auth.FailureNoDialIn, fmt.Sprintf("the user may not log in with %v", r.Protocol))
	}
	v.User, v.PeerAddress, v.Encryption = u.Name, u.Address, u.Encryption
	return Answer{Verdict: v, Sessions: u.Sessions, Rates: u.Rates, Filter: u.Filter, Routes: u.Routes}
}

// lookUp finds a user; the zero User has a secret that nothing matches.
func (f *File) lookUp(name string) User {
	f.mu.RLock()
	defer f.mu.RUnlock()
	u, ok := f.users[name]
	if !ok && !f.options.KeepNames {
		u = f.users[auth.UserWithoutDomain(name)]
	}
	return u
}
