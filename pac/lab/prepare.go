package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// prepare makes the namespaces a place to run in: files, loopback, and what the daemons will need of the kernel.
func prepare(s start) error {
	if err := prepareFiles(s); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	return errors.Join(checkTUN(), checkTerminals())
}

// prepareFiles puts an empty tmpfs over /run and the programs into it.
func prepareFiles(s start) error {
	// The programs may lie below /run, or be built anew while the lab runs: they are held before /run is hidden.
	programs := map[string]string{"pac": s.PAC, "pns": s.PNS}
	held := map[string]int{}
	for name, path := range programs {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		defer unix.Close(fd)
		held[name] = fd
	}
	// Mounts made here stay here. Slave and not private: what the host unmounts must not be held by the lab.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return mountError("detaching the mounts", err)
	}
	// Not always allowed, and only `ps` and the like inside miss it.
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if err := unix.Mount("trunkline-lab", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=256m"); err != nil {
		return mountError("a tmpfs over /run", err)
	}
	for _, dir := range []string{runDir, linesDir, binDir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for _, dir := range []string{tmpDir, "/run/lock"} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
			return err
		}
	}
	for name, fd := range held {
		if err := os.WriteFile(binDir+"/"+name, nil, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", fd), binDir+"/"+name, "", unix.MS_BIND, ""); err != nil {
			return mountError(name+" into the lab", err)
		}
	}
	return nil
}

func mountError(what string, err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("mounting %s: %w: the system gives user namespaces no rights%s; run the lab as root", what, err, restrictions())
	}
	return fmt.Errorf("mounting %s: %w", what, err)
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("loopback of the lab: %w", err)
	}
	return nil
}

// checkTUN tells in time, and in words, what pns would fail at.
func checkTUN() error {
	const device = "/dev/net/tun"
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		return unix.Close(fd)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%s: %w: pns needs a TUN interface (as root: modprobe tun; a container needs to be given the device)", device, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s: %w: pns needs a TUN interface (as root: chmod 0666 %s, as udev has it; or run the lab as root)", device, err, device)
	}
	return fmt.Errorf("%s: %w", device, err)
}

// checkTerminals does the same for the exchange.
func checkTerminals() error {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/dev/ptmx: %w: the exchange needs pseudo-terminals (devpts on /dev/pts)", err)
	}
	defer unix.Close(master)
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return fmt.Errorf("/dev/ptmx: %w: the exchange needs pseudo-terminals (devpts on /dev/pts)", err)
	}
	slave := fmt.Sprintf("/dev/pts/%d", n)
	if _, err := os.Stat(slave); err != nil {
		return fmt.Errorf("%w: /dev/ptmx makes pseudo-terminals that are not in /dev/pts: devpts is not mounted there", err)
	}
	return nil
}

// environment is what the lab's processes get: what the launcher has, and a place for temporary files that goes with the lab.
func environment(more ...string) []string {
	env := []string{"TMPDIR=" + tmpDir, "PATH=" + binDir + ":" + os.Getenv("PATH")}
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if name != "TMPDIR" && name != "PATH" && name != "NOTIFY_SOCKET" {
			env = append(env, v)
		}
	}
	return append(env, more...)
}
