package confine

import (
	"path/filepath"
	"strings"
)

// resolver is where the system says who resolves names.
const resolver = "/etc/resolv.conf"

// System is what every program needs of the system: other programs, libraries and what configures them, the kernel's figures, and devices that are
// none. Files of /etc that are replaced while a program runs are lost to it, see Names.
func System() []Rule {
	var rules []Rule
	add := func(rights Rights, patterns ...string) {
		for _, pattern := range patterns {
			paths, _ := filepath.Glob(pattern) // its only error is a bad pattern
			for _, path := range paths {
				rules = append(rules, Rule{path, rights})
			}
		}
	}
	add(Read|Run, "/usr", "/lib*", "/bin", "/sbin", "/nix/store", "/gnu/store")
	add(Read, "/proc", "/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm",
		"/etc/ld*", "/etc/localtime", "/etc/timezone", "/etc/locale*", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/hosts", resolver,
		"/etc/services", "/etc/protocols", "/etc/passwd", "/etc/group", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/python3*")
	add(Read|Write, "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
	if where, ok := resolverLink(); ok {
		rules = append(rules, Rule{where, Read})
	}
	return rules
}

// Names is what a program needs besides that goes on resolving names when the network changes: what says how is replaced then. It is the
// files of /etc, unless who resolves names is said elsewhere.
func Names() []Rule {
	if _, ok := resolverLink(); ok {
		return nil
	}
	return []Rule{{"/etc", Read}}
}

// resolverLink is the directory outside /etc in which the resolver's file lies, if it does.
func resolverLink() (directory string, ok bool) {
	file, err := filepath.EvalSymlinks(resolver)
	if err != nil {
		return "", false
	}
	directory = filepath.Dir(file)
	return directory, directory != "/" && directory+"/" != "/run/" && !strings.HasPrefix(directory+"/", "/etc/")
}
