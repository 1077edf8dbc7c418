package aaa

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/conf"
	"trunkline.example/shared/ppp/auth"
)

const sample = `# who may come
[[user]]
name = "ann"
password = "secret"

[[user]]
name = "bob"
nt_hash = "8846F7EAEE8FB117AD06BDD830B7586C" # "password"
address = "10.0.0.7"
authentication = ["pap", "chap-md5"]
encryption = "none"
rate_in = "512kbit/s"
rate_out = "0"
filter = "guests"
sessions = 2

[[user]]
name = "HOME\\cid"
password = "pw"
authentication = ["ms-chapv2"]

[[user]]
name = "out"
password = "pw"
disabled = true
`

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func sampleFile(t *testing.T, o FileOptions) (*File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.toml")
	write(t, path, sample)
	f, err := OpenFile(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return f, path
}

func pap(f *File, user, password string) Answer {
	return f.Authenticate(context.Background(), Request{Attempt: auth.Attempt{
		Generation: 7, Protocol: auth.PAP, User: user, Password: auth.PlainSecret(password)}})
}

func TestAuthenticate(t *testing.T) {
	f, _ := sampleFile(t, FileOptions{})
	for _, c := range []struct {
		user, password string
		ok             bool
		account        string
		code           auth.FailureCode
		reason         string
	}{
		{"ann", "secret", true, "ann", 0, ""},
		{"DOMAIN\\ann", "secret", true, "ann", 0, ""},
		{"ann", "Secret", false, "", auth.FailureAuthentication, "wrong password"},
		{"Ann", "secret", false, "", auth.FailureAuthentication, "no such user"},
		{"", "", false, "", auth.FailureAuthentication, "no such user"},
		{"bob", "password", true, "bob", 0, ""},
		{"HOME\\cid", "pw", false, "HOME\\cid", auth.FailureNoDialIn, "may not log in with PAP"},
		{"HOME\\cid", "no", false, "", auth.FailureAuthentication, "wrong password"},
		{"cid", "pw", false, "", auth.FailureAuthentication, "no such user"},
		{"out", "pw", false, "out", auth.FailureAccountDisabled, "disabled"},
		{"out", "no", false, "", auth.FailureAuthentication, "wrong password"},
	} {
		a := pap(f, c.user, c.password)
		if a.OK != c.ok || a.User != c.account || !strings.Contains(a.Reason, c.reason) || a.Generation != 7 || !c.ok && a.Code != c.code {
			t.Errorf("%q with %q: %+v", c.user, c.password, a)
		}
	}
	if a := pap(f, "bob", "password"); a.PeerAddress != netip.MustParseAddr("10.0.0.7") || a.Encryption != auth.EncryptionForbidden || a.Sessions != 2 {
		t.Errorf("bob gets %+v", a)
	}
	if n := pap(f, "bob", "password").Filter; n != (Filter{true, "guests"}) {
		t.Errorf("bob's filter %+v", n)
	}
	if r := pap(f, "bob", "password").Rates; r != (Rates{In: Rate{true, 512_000}, Out: Rate{true, 0}}) {
		t.Errorf("bob's rates %+v", r)
	}
	if r := pap(f, "ann", "secret").Rates; r != (Rates{}) {
		t.Errorf("ann's rates %+v", r)
	}
	if got := f.FixedAddresses(); len(got) != 1 || got[0] != netip.MustParseAddr("10.0.0.7") {
		t.Errorf("fixed addresses %v", got)
	}
	a := f.Authenticate(context.Background(), Request{Attempt: auth.Attempt{Protocol: auth.CHAPMD5, User: "bob", Challenge: []byte{1}, Response: make([]byte, 16)}})
	if a.OK || !strings.Contains(a.Reason, "NT hash") {
		t.Errorf("CHAP-MD5 against a hash: %+v", a)
	}
}

func TestDomainsAreKept(t *testing.T) {
	f, _ := sampleFile(t, FileOptions{KeepNames: true})
	if a := pap(f, "DOMAIN\\ann", "secret"); a.OK {
		t.Error("DOMAIN\\ann is ann")
	}
	if a := pap(f, "ann", "secret"); !a.OK {
		t.Error("ann is refused")
	}
}

func TestRefusedFiles(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"[[usr]]", `users.toml:1:3: usr: unknown key (did you mean "user"?)`},
		{"[[user]]\nname = \"a\"\npasword = \"x\"", `users.toml:3:1: user[0].pasword: unknown key (did you mean "password"?)`},
		{"[[user]]\nname = \"a\"", `users.toml:1:3: user[0]: user "a" has neither password nor nt_hash`},
		{"[[user]]\npassword = \"x\"", "users.toml:1:3: user[0].name: missing"},
		{"[[user]]\nname = \"a\\u0007\"\npassword = \"x\"", "control characters"},
		{"[[user]]\nname = \" a\"\npassword = \"x\"", "begins or ends with a space"},
		{"[[user]]\nname = \"" + strings.Repeat("x", 256) + "\"\npassword = \"x\"", "256 octets"},
		{"[[user]]\nname = \"a\"\npassword = \"\"", "users.toml:3:1: user[0].password: empty"},
		{"[[user]]\nname = \"a\"\nnt_hash = \"secret77\"", "users.toml:3:1: user[0].nt_hash: must be a string in quotes"},
		{"[[user]]\nname = \"a\"\npassword = 77777", "users.toml:3:1: user[0].password: must be a string in quotes"},
		{"[[user]]\nname = \"a\"\npassword = \"x\"\nnt_hash = \"8846F7EAEE8FB117AD06BDD830B7586C\"", "users.toml:4:1: user[0].nt_hash: stands beside a password"},
		{"[[user]]\nname = \"a\"\npassword = \"x\"\n[[user]]\nname = \"a\"\npassword = \"x\"", "users.toml:5:1: user[1].name: \"a\" is the name of user[0] too"},
		{"[[user]]\nname = \"a\"\npassword = \"x\"\naddress = \"10.0.0.1\"\n[[user]]\nname = \"b\"\npassword = \"x\"\naddress = \"10.0.0.1\"", "users.toml:8:1: user[1].address"},
		{"[[user]]\nname = \"a\"\npassword = \"x\"\naddress = \"fd00::1\"", "is not an IPv4 address for a host"},
		{"[[user]]\nname = \"a\"\npassword = \"x\"\nsessions = -1", "user[0].sessions"},
		{"[[user]]\nname = \"a\"\npassword = \"x\"\nauthentication = []", "could never log in"},
		{"[[user]]\nname = \"a\"\npassword = \"x\"\nauthentication = [\"pap\"]\nencryption = \"required\"", "users.toml:5:1: user[0].encryption"},
		{"[[user]]\nname = \"a\"\npassword = \"x\"\nencryption = \"no\"", `"no" is none of "required", "preferred", "none"`},
		{"[[user]]\nname = \"a\"\npassword = \"x\"\nrate_in = 5", "users.toml:4:1: user[0].rate_in"},
		{"user = 3", "must be a table"},
		{"[[user]]\nname = \"a\"\npassword = \"secret77", "users.toml:3:"},
	} {
		_, err := ParseUsers("users.toml", []byte(c.text))
		var all conf.Errors
		if !errors.As(err, &all) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret77") || strings.Contains(err.Error(), "77777")) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

func TestModes(t *testing.T) {
	_, path := sampleFile(t, FileOptions{})
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenFile(path, FileOptions{}); !errors.Is(err, ErrMode) || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %04o: %v", mode, err)
		}
		if err := Add(path, Entry{Name: "x", Password: "y"}, false); !errors.Is(err, ErrMode) {
			t.Errorf("adding with mode %04o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(path, FileOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := OpenFile(filepath.Dir(path), FileOptions{}); err == nil {
		t.Error("a directory was accepted")
	}
	if f, err := OpenFile(path+".absent", FileOptions{}); err != nil || f.Len() != 0 {
		t.Error("a file that does not exist must hold no users:", err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(path, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenFile(path, FileOptions{}); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
			t.Error("somebody else's file:", err)
		}
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, path := sampleFile(t, FileOptions{})
		ctx, cancel := context.WithCancel(context.Background())
		reports := make(chan string, 10)
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.Watch(ctx, func(users int, err error) { reports <- fmt.Sprintf("%d users, %v", users, err) })
		}()
		later := func() { // three looks: the change, that it has come to rest, and one more
			time.Sleep(3*PollInterval + PollInterval/2)
			synctest.Wait()
		}
		expect := func(want string) {
			t.Helper()
			later()
			if len(reports) != 1 {
				t.Fatalf("%d reports, want one of %q", len(reports), want)
			}
			if got := <-reports; !strings.Contains(got, want) {
				t.Errorf("reported %q, want %q", got, want)
			}
		}
		later()
		if len(reports) > 0 {
			t.Fatal("a report without a change:", <-reports)
		}
		if err := Add(path, Entry{Name: "dan", Password: "pw"}, false); err != nil {
			t.Fatal(err)
		}
		expect("5 users, <nil>")
		if a := pap(f, "dan", "pw"); !a.OK {
			t.Errorf("dan: %+v", a)
		}
		write(t, path, sample+"[[user]]\nname = 1\n")
		expect(path + ":27:1: user[4].name: 1 must be a string, not a whole number")
		if a := pap(f, "dan", "pw"); !a.OK {
			t.Error("a bad file took the users away")
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("5 users, users file: open " + path)
		write(t, path, "")
		expect("0 users, <nil>")
		if a := pap(f, "dan", "pw"); a.OK {
			t.Error("dan is known after his entry has gone")
		}
		cancel()
		<-done
	})
}

func FuzzParseUsers(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("user = [{name = \"a\", password = \"b\"}]"))
	f.Add([]byte("[[user]]\nname = 'a'\npassword = '''\n[[user]]\n'''\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		users, err := ParseUsers("users.toml", data)
		if err != nil {
			return
		}
		changed, err := Entry{Name: "new user", Password: "p\"\\\n"}.change(data, users, true)
		if errors.Is(err, ErrInline) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseUsers("users.toml", changed)
		if err != nil {
			t.Fatalf("%v\n%s", err, changed)
		}
		if n := len(again) - len(users); n != 0 && n != 1 {
			t.Fatalf("%d users became %d", len(users), len(again))
		}
		for i, u := range users {
			if u.Name != "new user" && fmt.Sprint(u) != fmt.Sprint(again[i]) {
				t.Errorf("%v became %v", u, again[i])
			}
		}
	})
}
