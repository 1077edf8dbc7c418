package lab

import (
	"fmt"
	"os"
	"strings"
)

// access is how somebody outside gets into the lab's namespaces.
type access string

// The ways.
const (
	accessRoot   access = "root"   // the lab was started by root: root enters
	accessUser   access = "user"   // by an ordinary user, or a root without rights: the same user enters, by the user namespace
	accessNested access = "nested" // by root of a user namespace: from there as root, from elsewhere by the user namespace
)

// enter are the lines to type, and where.
func (a access) enter(pid int) []string {
	root := fmt.Sprintf("nsenter -t %d -m -n -p %s", pid, shellFile)
	user := fmt.Sprintf("nsenter -t %d -U --preserve-credentials -m -n -p %s", pid, shellFile)
	switch a {
	case accessUser:
		return []string{user}
	case accessNested:
		return []string{root + "    # from a shell in the same user namespace", user + "    # from any other shell of yours"}
	}
	return []string{root}
}

// sudo is what stands before commands that only root can run outside.
func (a access) sudo() string {
	if a == accessRoot {
		return ""
	}
	return "sudo "
}

// outside is the path of a file of the lab as the rest of the machine reaches it.
func outside(pid int, path string) string { return fmt.Sprintf("/proc/%d/root%s", pid, path) }

// initialUserNamespace says whether this process is in the machine's first user namespace, where all user numbers are mapped.
func initialUserNamespace() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return true // no user namespaces, or no /proc: as good as the first
	}
	fields := strings.Fields(string(text))
	return len(fields) == 3 && fields[0] == "0" && fields[1] == "0" && fields[2] == "4294967295"
}
