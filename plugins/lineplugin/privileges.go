package lineplugin

import (
	"fmt"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/confine"
)

// keptCapabilities are those that a driver's process keeps of ours: enough to
// open devices that belong to others, and to remove stale lock files, where we
// run as root. What we need for the network is none of a driver's business.
const keptCapabilities = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_FOWNER

// withLittlePrivilege runs f, which starts a process, on a thread that has
// given up what a driver does not need, and can open only what the rules allow
// (nil: all). The process inherits that, and nothing that it starts ever gets
// more. unconfined is why the rules are not in force; f runs all the same.
func withLittlePrivilege(rules []confine.Rule, f func() error) (unconfined, err error) {
	confine.OnThread(func() {
		if err = dropPrivileges(); err != nil {
			err = fmt.Errorf("privileges cannot be given up: %w", err)
			return
		}
		if rules != nil {
			unconfined = confine.Thread(rules)
		}
		err = f()
	})
	return unconfined, err
}

// dropPrivileges leaves the calling thread the kept capabilities at most.
func dropPrivileges() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	for i := range sets {
		kept := uint32(uint64(keptCapabilities) >> (32 * i))
		sets[i].Permitted &= kept
		sets[i].Effective &= kept
		sets[i].Inheritable = 0 // ambient ones go with it
	}
	return unix.Capset(&header, &sets[0])
}
