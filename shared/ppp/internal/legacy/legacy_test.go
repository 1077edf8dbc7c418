package legacy

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDESKeys takes the keys and cipher text of RFC 2433 appendix B.2.
func TestDESKeys(t *testing.T) {
	for in, want := range map[string]string{
		"fc156af7edcd6c": "fd0b5b5e7f6e34d9",
		"0edde3337d427f": "0e6e796737ea08fe",
		"00000000000000": "0101010101010101",
		"ffffffffffffff": "fefefefefefefefe",
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := ExpandDESKey([7]byte(b)); hex.EncodeToString(got[:]) != want {
			t.Errorf("%s: %x, want %s", in, got, want)
		}
	}
	block, err := DES([8]byte{0x10, 0x2D, 0xB5, 0xDF, 0x08, 0x5D, 0x30, 0x41}, [7]byte{0xFC, 0x15, 0x6A, 0xF7, 0xED, 0xCD, 0x6C})
	if err != nil || hex.EncodeToString(block[:]) != "4e9d3c8f9cfd385d" {
		t.Errorf("%x, %v", block, err)
	}
}

func TestDigests(t *testing.T) {
	abc := [][]byte{[]byte("a"), []byte("bc")}
	md5, err := MD5(abc...)
	if err != nil || hex.EncodeToString(md5[:]) != "900150983cd24fb0d6963f7d28e17f72" {
		t.Errorf("MD5 %x, %v", md5, err)
	}
	sha, err := SHA1(abc...)
	if err != nil || hex.EncodeToString(sha[:]) != "a9993e364706816aba3e25717850c26c9cd0d89d" {
		t.Errorf("SHA-1 %x, %v", sha, err)
	}
	md4, err := MD4([]byte("abc"))
	if err != nil || hex.EncodeToString(md4[:]) != "a448017aaf21d8525fc10ae87aa6729d" {
		t.Errorf("MD4 %x, %v", md4, err)
	}
}

// FuzzSHA1Blocks holds the digest of padded blocks equal to that of crypto/sha1.
func FuzzSHA1Blocks(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("abc"))
	f.Add(bytes.Repeat([]byte{0xF2}, 55))
	f.Add(bytes.Repeat([]byte{0xF2}, 56))
	f.Add(bytes.Repeat([]byte{1}, 112))
	f.Fuzz(func(t *testing.T, message []byte) {
		want, err := SHA1(message)
		if err != nil {
			t.Fatal(err)
		}
		padded := append(bytes.Clone(message), 0x80)
		for len(padded)%64 != 56 {
			padded = append(padded, 0)
		}
		padded = binary.BigEndian.AppendUint64(padded, uint64(len(message))*8)
		s := NewSHA1Blocks()
		for range 2 { // nothing is left over from the first time
			if got := s.Sum(padded); *got != want {
				t.Errorf("%x: %x, want %x", message, *got, want)
			}
		}
		if n := testing.AllocsPerRun(1, func() { s.Sum(padded) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// TestFIPS runs in a process of its own that forbids the algorithms.
func TestFIPS(t *testing.T) {
	if os.Getenv("LEGACY_TEST_FIPS") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFIPS$", "-test.v")
		cmd.Env = append(os.Environ(), "LEGACY_TEST_FIPS=1", "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFIPS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	_, errMD5 := MD5()
	_, errMD4 := MD4(nil)
	_, errSHA := SHA1()
	_, errDES := DES([8]byte{}, [7]byte{})
	for _, err := range []error{Check(), errMD5, errMD4, errSHA, errDES} {
		if !errors.Is(err, ErrFIPS) {
			t.Error(err)
		}
	}
}
