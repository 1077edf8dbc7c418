package mppe

import (
	"bytes"
	"crypto/rc4"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// work is the tests' own: none of them runs in parallel.
var work = new(Worker)

func pair(t testing.TB, bits KeyLength) (*Encryptor, *Decryptor) {
	t.Helper()
	k := key(t, serverSendHex)
	e, err := NewEncryptor(Params{KeyLength: bits, Stateless: true, SendKey: k})
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecryptor(Params{KeyLength: bits, Stateless: true, ReceiveKey: k})
	if err != nil {
		t.Fatal(err)
	}
	return e, d
}

// packetAt is a packet of which the plain text tells the number.
func plainAt(n int) []byte { return fmt.Appendf(nil, "\x00\x21packet %d", n) }

// open expects packet to decrypt to plain.
func open(t testing.TB, d *Decryptor, packet []byte, lost uint32, plain []byte) {
	t.Helper()
	got, err := d.Open(work, nil, packet, lost)
	if err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("got %q, %v; want %q (%+v)", got, err, plain, d.Counters())
	}
}

func TestFirstPacket(t *testing.T) {
	e, _ := pair(t, Bits128)
	packet := e.Seal(work, nil, []byte("\x00\x21hello"))
	// Key change before the first packet, too (RFC 3078 section 7.1).
	c, err := rc4.NewCipher(unhex(t, "726F10500E2B54135B1B74D7682F0471"))
	if err != nil {
		t.Fatal(err)
	}
	want := []byte("\x00\x21hello")
	c.XORKeyStream(want, want)
	want = append([]byte{0x90, 0x00}, want...)
	if !bytes.Equal(packet, want) {
		t.Errorf("% x, want % x", packet, want)
	}
}

func TestRoundTripPastTheWrap(t *testing.T) {
	for _, bits := range []KeyLength{Bits40, Bits56, Bits128} {
		e, d := pair(t, bits)
		for n := range counts + 10 {
			packet := e.Seal(work, nil, plainAt(n))
			if got := binary.BigEndian.Uint16(packet); got != 0x9000|uint16(n%counts) {
				t.Fatalf("packet %d: header %04x", n, got)
			}
			open(t, d, packet, 0, plainAt(n))
		}
		if c := d.Counters(); c != (DecryptorCounters{Opened: counts + 10}) {
			t.Errorf("%+v", c)
		}
	}
}

func TestInPlace(t *testing.T) {
	e, d := pair(t, Bits128)
	buf := make([]byte, 100)
	plain := plainAt(7)
	copy(buf[HeaderLength:], plain)
	sealed := e.Seal(work, buf[:0], buf[HeaderLength:HeaderLength+len(plain)])
	if &sealed[0] != &buf[0] {
		t.Fatal("Seal moved")
	}
	got, err := d.Open(work, sealed[HeaderLength:HeaderLength], sealed, 0)
	if err != nil || &got[0] != &buf[HeaderLength] || !bytes.Equal(got, plain) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestLoss loses packets between two good ones. lost is what GRE would say: the same,
// more (control packets were lost as well) or less (the peer dropped some after encrypting them).
func TestLoss(t *testing.T) {
	for _, v := range []struct {
		gap  int // packets missing
		lost uint32
		want error
	}{
		{0, 0, nil},
		{1, 1, nil},
		{1, 0, nil},
		{0, 3, nil},
		{10, 12, nil},
		{2047, 0, nil}, // half the range ahead: still a loss
		{2048, 0, ErrLate},
		{4094, 0, ErrLate},
		{2048, 2048, nil},
		{2048, 2050, nil},
		{4094, 4094, nil},
		{4095, 4095, nil}, // the count is that of the packet before
		{4095, 4099, nil},
		{4096, 4096, nil}, // the next count, as if nothing had happened
		{4096, 4090, nil},
		{4100, 4096, nil},
		{9000, 9000, nil},
		{12288, 12288, nil},
		{9000, 9000 + 2047, nil},
		{9000, 9000 - 2047, nil},
	} {
		t.Run(fmt.Sprintf("gap %d lost %d", v.gap, v.lost), func(t *testing.T) {
			e, d := pair(t, Bits128)
			open(t, d, e.Seal(work, nil, plainAt(0)), 0, plainAt(0))
			for range v.gap {
				e.Seal(work, nil, nil)
			}
			packet := e.Seal(work, nil, plainAt(1))
			before := d.State()
			got, err := d.Open(work, nil, packet, v.lost)
			if !errors.Is(err, v.want) {
				t.Fatalf("error %v, want %v", err, v.want)
			}
			if v.want != nil {
				after := d.State()
				if after.SessionKey != before.SessionKey || after.Seen != before.Seen || d.Counters().Late != 1 {
					t.Errorf("a late packet changed %+v to %+v", before.Counters, after.Counters)
				}
				return
			}
			if !bytes.Equal(got, plainAt(1)) {
				t.Errorf("%q", got)
			}
			if d.Counters().Skipped != uint64(v.gap) {
				t.Errorf("skipped %d", d.Counters().Skipped)
			}
			open(t, d, e.Seal(work, nil, plainAt(2)), 0, plainAt(2))
		})
	}
}

func TestFirstPacketsLost(t *testing.T) {
	e, d := pair(t, Bits128)
	for range 3 {
		e.Seal(work, nil, nil)
	}
	open(t, d, e.Seal(work, nil, plainAt(3)), 0, plainAt(3))
}

func TestLateAndRepeated(t *testing.T) {
	e, d := pair(t, Bits128)
	var packets [][]byte
	for n := range 5 {
		packets = append(packets, e.Seal(work, nil, plainAt(n)))
	}
	open(t, d, packets[0], 0, plainAt(0))
	open(t, d, packets[3], 0, plainAt(3))
	for _, n := range []int{3, 2, 1, 0} {
		if _, err := d.Open(work, nil, packets[n], 0); !errors.Is(err, ErrLate) {
			t.Errorf("packet %d: %v", n, err)
		}
	}
	open(t, d, packets[4], 0, plainAt(4))
	if c := d.Counters(); c != (DecryptorCounters{Opened: 3, Skipped: 2, Late: 4}) {
		t.Errorf("%+v", c)
	}
	if d.Broken() {
		t.Error("late packets count as violations")
	}
}

func TestRandomLoss(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	e, d := pair(t, Bits128)
	lost, expected := 0, 0
	for n := range 6000 {
		packet := e.Seal(work, nil, plainAt(n))
		if rng.IntN(1000) == 0 {
			for range rng.IntN(6000) {
				e.Seal(work, nil, nil)
				lost++
			}
			continue
		}
		if rng.IntN(3) == 0 {
			lost++
			continue
		}
		got, err := d.Open(work, nil, packet, uint32(lost))
		if err != nil || !bytes.Equal(got, plainAt(n)) {
			t.Fatalf("seed %d: packet %d after a loss of %d: %q, %v", seed, n, lost, got, err)
		}
		lost = 0
		expected++
	}
	if d.Counters().Opened != uint64(expected) {
		t.Errorf("seed %d: opened %d of %d", seed, d.Counters().Opened, expected)
	}
}

// TestBoundedRekeying lets a peer claim half the range with every packet.
func TestBoundedRekeying(t *testing.T) {
	_, d := pair(t, Bits128)
	packet := make([]byte, 10)
	var before uint64
	for n := range 2000 {
		binary.BigEndian.PutUint16(packet, 0x9000|uint16((n+1)*2047)&CountMask)
		_, err := d.Open(work, nil, packet, 0)
		if err != nil && !errors.Is(err, ErrBehind) {
			t.Fatalf("packet %d: %v", n, err)
		}
		steps := d.s.Keyed - before
		before = d.s.Keyed
		if n > 20 && steps > creditPerPacket {
			t.Fatalf("packet %d cost %d key changes", n, steps)
		}
	}
	if d.s.Keyed > creditBurst+2000*creditPerPacket {
		t.Errorf("%d key changes for 2000 packets", d.s.Keyed)
	}
	if d.Counters().Behind == 0 {
		t.Error("never behind")
	}
}

// TestCatchUp loses more than may be computed at once and comes back.
func TestCatchUp(t *testing.T) {
	e, d := pair(t, Bits128)
	open(t, d, e.Seal(work, nil, plainAt(0)), 0, plainAt(0))
	const gap = creditBurst + 10000
	for range gap {
		e.Seal(work, nil, nil)
	}
	lost := uint32(gap)
	for n := range 10000 {
		got, err := d.Open(work, nil, e.Seal(work, nil, plainAt(n)), lost)
		lost = 0
		if errors.Is(err, ErrBehind) {
			continue
		}
		if err != nil || !bytes.Equal(got, plainAt(n)) {
			t.Fatalf("packet %d: %q, %v", n, got, err)
		}
		if n == 0 || n > 2*10000/creditPerPacket {
			t.Errorf("caught up after %d packets", n)
		}
		return
	}
	t.Error("never caught up")
}

func TestIncredibleHint(t *testing.T) {
	e, d := pair(t, Bits128)
	open(t, d, e.Seal(work, nil, plainAt(0)), 0, plainAt(0))
	open(t, d, e.Seal(work, nil, plainAt(1)), 1<<31, plainAt(1))
}

func TestBadHeaders(t *testing.T) {
	e, d := pair(t, Bits128)
	for _, v := range []struct {
		packet []byte
		want   error
	}{
		{nil, ErrShort},
		{[]byte{0x90}, ErrShort},
		{[]byte{0x90, 0x00}, ErrShort},
		{[]byte{0x80, 0x00, 1}, ErrNotEncrypted},
		{[]byte{0xB0, 0x00, 1}, ErrCompressed},
		{[]byte{0x10, 0x00, 1}, ErrNotFlushed},
	} {
		before := d.State()
		dst := []byte("kept")
		got, err := d.Open(work, dst, v.packet, 0)
		if !errors.Is(err, v.want) || string(got) != "kept" {
			t.Errorf("% x: %q, %v, want %v", v.packet, got, err, v.want)
		}
		if after := d.State(); after.Seen != before.Seen || after.SessionKey != before.SessionKey {
			t.Errorf("% x changed the key", v.packet)
		}
	}
	want := DecryptorCounters{Short: 3, NotEncrypted: 1, Compressed: 1, NotFlushed: 1}
	if d.Counters() != want {
		t.Errorf("%+v, want %+v", d.Counters(), want)
	}
	open(t, d, e.Seal(work, nil, plainAt(0)), 0, plainAt(0))
}

func TestBroken(t *testing.T) {
	e, d := pair(t, Bits128)
	bad := []byte{0x80, 0x00, 1}
	for n := range 15 {
		_, err := d.Open(work, nil, bad, 0)
		if err == nil || d.Broken() {
			t.Fatalf("after %d: %v, broken %v", n+1, err, d.Broken())
		}
	}
	open(t, d, e.Seal(work, nil, plainAt(0)), 0, plainAt(0))
	for range 8 {
		if _, err := d.Open(work, nil, bad, 0); err == nil {
			t.Fatal("accepted")
		}
	}
	if d.Broken() {
		t.Error("a good packet between did not count")
	}
	for range 2 {
		if _, err := d.Open(work, nil, bad, 0); err == nil {
			t.Fatal("accepted")
		}
	}
	if !d.Broken() {
		t.Error("not broken")
	}
}

func TestParams(t *testing.T) {
	for _, p := range []Params{{}, {KeyLength: 64, Stateless: true}, {KeyLength: Bits128}} {
		if _, err := NewEncryptor(p); !errors.Is(err, ErrParams) {
			t.Errorf("%v: %v", p, err)
		}
		if _, err := NewDecryptor(p); !errors.Is(err, ErrParams) {
			t.Errorf("%v: %v", p, err)
		}
	}
	if _, err := RestoreEncryptor(EncryptorState{KeyLength: Bits128, Count: 4096}); !errors.Is(err, ErrParams) {
		t.Error(err)
	}
	if _, err := RestoreEncryptor(EncryptorState{}); !errors.Is(err, ErrParams) {
		t.Error(err)
	}
	for _, s := range []DecryptorState{{}, {KeyLength: Bits128, Keyed: 1}, {KeyLength: Bits128, Credit: creditBurst + 1}} {
		if _, err := RestoreDecryptor(s); !errors.Is(err, ErrParams) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// TestGoesOn writes both directions out in mid-call and goes on with what was read.
func TestGoesOn(t *testing.T) {
	viaGob := func(in, out any) error {
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(in); err != nil {
			return err
		}
		return gob.NewDecoder(&b).Decode(out)
	}
	viaJSON := func(in, out any) error {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, out)
	}
	for name, via := range map[string]func(in, out any) error{"gob": viaGob, "json": viaJSON} {
		for _, bits := range []KeyLength{Bits40, Bits56, Bits128} {
			for _, at := range []int{0, 1, 300, 4097} {
				if at > 300 && bits != Bits128 {
					continue // the wrap is the same for all
				}
				e, d := pair(t, bits)
				for n := range at {
					open(t, d, e.Seal(work, nil, plainAt(n)), 0, plainAt(n))
				}
				var es EncryptorState
				var ds DecryptorState
				if err := errors.Join(via(e.State(), &es), via(d.State(), &ds)); err != nil {
					t.Fatal(name, err)
				}
				e2, err := RestoreEncryptor(es)
				if err != nil {
					t.Fatal(err)
				}
				d2, err := RestoreDecryptor(ds)
				if err != nil {
					t.Fatal(err)
				}
				for n := range 10 {
					open(t, d2, e2.Seal(work, nil, plainAt(n)), 0, plainAt(n))
				}
				if d2.Counters().Opened != uint64(at+10) || e2.Packets() != uint64(at+10) {
					t.Errorf("%s %d at %d: counters start anew", name, bits, at)
				}
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	e, d := pair(t, Bits128)
	plain := make([]byte, 1400)
	sealed := make([]byte, 0, 1500)
	opened := make([]byte, 0, 1500)
	if n := testing.AllocsPerRun(100, func() {
		p := e.Seal(work, sealed, plain)
		if _, err := d.Open(work, opened, p, 0); err != nil {
			t.Fatal(err)
		}
		e.Seal(work, sealed, plain) // lost
	}); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

// TestFIPS runs the tests below in a process that forbids the algorithms.
func TestFIPS(t *testing.T) {
	if os.Getenv("MPPE_TEST_FIPS") != "" {
		p := Params{KeyLength: Bits128, Stateless: true}
		_, errE := NewEncryptor(p)
		_, errD := NewDecryptor(p)
		_, errM := MasterKey([16]byte{}, [24]byte{})
		_, _, errS := ServerKeys(Key{})
		_, errR := RestoreDecryptor(DecryptorState{KeyLength: Bits128})
		for _, err := range []error{Available(), errE, errD, errM, errS, errR} {
			if !errors.Is(err, ErrFIPS) {
				t.Error(err)
			}
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFIPS$", "-test.v")
	cmd.Env = append(os.Environ(), "MPPE_TEST_FIPS=1", "GODEBUG=fips140=only")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestFIPS") {
		t.Errorf("%v\n%s", err, out)
	}
	if err := Available(); err != nil {
		t.Error(err)
	}
}
