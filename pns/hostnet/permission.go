package hostnet

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrNotPermitted is wrapped by errors that come from lacking rights over the network namespace.
var ErrNotPermitted = errors.New("needs CAP_NET_ADMIN over this network namespace (be root, or root of a user and network namespace of your own)")

// checkCapability is asked first, because a netlink library may wait for ever for an answer that the kernel does not
// give to those without the right.
func checkCapability() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("capabilities of this process: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_NET_ADMIN) == 0 {
		return fmt.Errorf("setting up the host's network %w", ErrNotPermitted)
	}
	return nil
}

// explain adds what a refusal by the kernel means: the capability may be one over another namespace.
func explain(err error) error {
	if errors.Is(err, unix.EPERM) && !errors.Is(err, ErrNotPermitted) {
		return fmt.Errorf("%w: %w", err, ErrNotPermitted)
	}
	return err
}

// unsupported tells whether an error means that the kernel lacks a feature.
func unsupported(err error) bool {
	for _, errno := range []error{unix.ENOENT, unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.ENOPROTOOPT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
