package tun

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"
	wireguard "golang.zx2c4.com/wireguard/tun"
)

// kernel is a device whose writes end as a test says; file receives what is written singly.
type kernel struct {
	wireguard.Device
	file  *os.File
	write func(bufs [][]byte) error
	read  func(sizes []int) (int, error)
}

func (k *kernel) File() *os.File { return k.file }

func (k *kernel) Write(bufs [][]byte, _ int) (int, error) { return 0, k.write(bufs) }

func (k *kernel) Read(_ [][]byte, sizes []int, _ int) (int, error) { return k.read(sizes) }

func refused(errno error) error {
	return errors.Join(nil, &fs.PathError{Op: "write", Path: clonePath, Err: errno})
}

// A kernel that refuses runs of packets as one gets them one by one from then on; any other refusal changes nothing.
func TestOffloadIsSwitchedOff(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	k := &kernel{file: w}
	d := &offload{device: k, name: "trunk0"}
	packets := func() [][]byte {
		return [][]byte{append(make([]byte, Headroom, 100), "one"...), append(make([]byte, Headroom, 100), "two"...)}
	}
	for _, c := range []struct {
		what  string
		write func([][]byte) error
		n     int
		want  Counters
	}{
		{"all taken", func([][]byte) error { return nil }, 2, Counters{}},
		{"a bad packet", func([][]byte) error { return refused(unix.EINVAL) }, 1, Counters{WriteRefused: 1}},
		{"interface down", func(bufs [][]byte) error {
			bufs[0] = append(bufs[0], "two"...)
			return errors.Join(refused(unix.EIO), refused(unix.EIO))
		}, 0, Counters{WriteRefused: 3}},
		{"a run refused", func(bufs [][]byte) error {
			bufs[0] = append(bufs[0], "two"...)
			return refused(unix.EINVAL)
		}, 1, Counters{WriteRefused: 4, OffloadRefused: 1}},
	} {
		k.write = c.write
		n, err := d.Write(packets(), Headroom)
		if n != c.n || (err == nil) != (c.what == "all taken") || d.Counters() != c.want {
			t.Errorf("%s: %d, %v, %+v", c.what, n, err, d.Counters())
		}
	}
	k.write = func([][]byte) error {
		t.Error("packets are still handed over as one")
		return nil
	}
	if n, err := d.Write(packets(), Headroom); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	got := make([]byte, 100)
	n, err := r.Read(got)
	if header := string(make([]byte, Headroom)); err != nil || string(got[:n]) != header+"one"+header+"two" {
		t.Errorf("written %q, %v", got[:n], err)
	}
}

func TestReadDropsWhatIsDamaged(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	d := &offload{name: "trunk0"}
	bufs := [][]byte{make([]byte, 20), make([]byte, 20), make([]byte, 20)}
	copy(bufs[2][4:], "third")
	sizes := make([]int, 3)
	d.device = &kernel{read: func(sizes []int) (int, error) {
		copy(sizes, []int{17, 3, 5})
		return 3, wireguard.ErrTooManySegments
	}}
	d.raw, err = w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	n, err := d.Read(bufs, sizes, 4)
	if n != 2 || err != nil || sizes[1] != 5 || string(bufs[1][4:9]) != "third" || d.Counters().ReadDropped != 2 {
		t.Errorf("%d, %v, sizes %v, %q, %+v", n, err, sizes, bufs[1], d.Counters())
	}
}
