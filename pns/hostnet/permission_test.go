package hostnet

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"trunkline.example/test/netns"
)

func TestNotPermitted(t *testing.T) {
	if os.Getenv("HOSTNET_UNPERMITTED") != "" {
		c := full
		c.Interface = "lo"
		_, _, err := Setup(c)
		if !errors.Is(err, ErrNotPermitted) {
			t.Errorf("without rights: %v", err)
		}
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to give up root's rights")
	}
	netns.Here(t)
	// As nobody, and as root of a user namespace that does not own the network namespace.
	for name, attr := range map[string]*syscall.SysProcAttr{
		"nobody":    {Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
		"namespace": inUserNamespace(0),
	} {
		out, err := again(t, "TestNotPermitted", attr, "HOSTNET_UNPERMITTED=1")
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// An ordinary user can do everything in a user and network namespace of his own.
func TestUnprivilegedNamespace(t *testing.T) {
	if os.Getenv("HOSTNET_UNSHARED") != "" {
		if _, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
			// The device is root's here. Another kind of interface does for what is tested.
			ip(t, "link add trunk0 type veth peer name far-trunk0")
		} else {
			ip(t, "tuntap add dev trunk0 mode tun")
		}
		ip(t, "link set lo up")
		ip(t, "link add eth0 type veth peer name far-eth0")
		ip(t, "link set eth0 up")
		ip(t, "address add 192.0.2.1/24 dev eth0")
		n := setup(t, full)
		golden(t, "full.nft")
		expectForwarding(t, "after setup", map[string]string{"eth0": "1", "trunk0": "1", "all": "0"})
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to become an ordinary user")
	}
	out, err := again(t, "TestUnprivilegedNamespace", inUserNamespace(unix.CLONE_NEWNET), "HOSTNET_UNSHARED=1")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// inUserNamespace starts a process as root of a user namespace that belongs to nobody's user number.
func inUserNamespace(more uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | more,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}},
		Credential:  &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: true},
	}
}

// again runs a test in a process of its own.
func again(t *testing.T, test string, attr *syscall.SysProcAttr, env string) (string, error) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hostnet") // the test's own directory is not for nobody
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "test")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(file, data, 0o755), os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS("testdata"))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(file, "-test.run=^"+test+"$", "-test.v")
	cmd.Dir, cmd.SysProcAttr, cmd.Env = dir, attr, append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	if err == nil && !strings.Contains(string(out), "--- PASS: "+test) {
		err = errors.New("did not pass")
	}
	return string(out), err
}
