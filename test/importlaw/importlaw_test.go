// Package importlaw checks which package may import which, and that pure packages stay pure.
package importlaw

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "trunkline.example/"

// pkg is what `go list -json` says of one package.
type pkg struct {
	ImportPath, Dir string
	Imports, Deps   []string
	GoFiles         []string
}

// law forbids imports, direct and indirect, for the packages below prefix.
type law struct {
	prefix string
	except []string // packages below prefix that are free of it
	never  []string // forbidden prefixes
	direct bool     // only direct imports count
	why    string
}

var laws = []law{
	{prefix: "shared", never: []string{module + "pac", module + "pns", module + "modem", module + "isdn", module + "plugins", module + "cmd"},
		why: "imports point down only"},
	{prefix: "pac", except: []string{"pac/caller", "pac/lab"}, never: []string{module + "shared/ppp"},
		why: "a PAC relays PPP, it does not terminate it"},
	{prefix: "pac", never: []string{"github.com/hashicorp/go-plugin", "google.golang.org/grpc", module + "plugins"},
		why: "pac knows drivers only by shared/line"},
	{prefix: "pac/lab", never: []string{module + "pac", module + "pns", module + "modem", module + "shared/ppp", module + "shared/line"},
		why: "the lab starts the programs, and reads what they say"},
	{prefix: "pns", never: []string{module + "shared/line", module + "shared/hdlc", module + "modem", module + "isdn", module + "plugins",
		"github.com/hashicorp/go-plugin", "go.bug.st/serial", module + "pac"}, why: "a PNS has no lines"},
	{prefix: "pns/load", never: []string{module + "pns/config", module + "pns/dataplane", module + "pns/session", module + "pns/aaa", module + "pns/tun", module + "pns/hostnet"},
		why: "the generator is a client of any server"},
	{prefix: "", except: []string{"plugins", "cmd/pac"}, never: []string{"github.com/hashicorp/", "google.golang.org/grpc"},
		why: "only plugins know go-plugin, gRPC and hclog"},
	{prefix: "", except: []string{"plugins"}, never: []string{"github.com/hashicorp/", "google.golang.org/grpc"}, direct: true,
		why: "only plugins import go-plugin, gRPC and hclog"},
	{prefix: "", except: []string{"modem/tty"}, never: []string{"go.bug.st/serial"}, direct: true,
		why: "modem/tty alone opens serial ports"},
	{prefix: "", except: []string{"modem/exchange"}, never: []string{"github.com/coder/websocket"}, direct: true,
		why: "only the exchange speaks WebSocket"},
	{prefix: "modem", never: []string{module + "plugins", module + "pac", module + "pns", module + "shared/ppp"}, why: "drivers link in-process unchanged"},
	{prefix: "isdn", never: []string{module + "plugins", module + "pac", module + "pns", module + "shared/ppp"}, why: "drivers link in-process unchanged"},
}

// pure are the packages without goroutine, socket, clock, logger or randomness, each with the files that are exempt: a thin driver of the
// machine that lies beside it.
var pure = map[string][]string{
	"shared/pptp": nil, "shared/pptp/fsm": nil, "shared/pptp/callstats": nil, "shared/linkreport": nil, "shared/pptp/control": {"runner.go", "callid.go", "faultcount.go"}, "shared/gre": nil, "shared/hdlc": nil, "shared/line": nil,
	"shared/pcapng": nil, "shared/blank": nil, "shared/ppp": nil, "shared/ppp/fsm": nil, "shared/ppp/lcp": nil, "shared/ppp/auth": nil, "shared/ppp/ccp": nil, "shared/ppp/mppe": nil,
	"pns/redial": nil, "pns/filter": nil, "pns/tun/gso": nil, "shared/ppp/ipcp": nil, "shared/ppp/link": nil, "shared/ppp/peer": nil, "shared/ppp/internal/legacy": nil, "modem/at": nil, "modem/telnet": nil,
	"modem/exchange/hayes": nil, "modem/exchange/plan": nil, "modem/exchange/circuit": nil, "modem/exchange/pace": nil, "modem/exchange/office": nil,
}

// pureImports are what a pure package must not import.
var pureImports = []string{"net", "os", "os/exec", "sync", "sync/atomic", "log", "log/slog", "crypto/rand", "syscall", "net/http"}

// clockCalls are functions a pure package must not call.
var clockCalls = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"},
	"rand": {"Int", "IntN", "Uint32", "Uint64", "Float64", "Perm", "Shuffle", "N"},
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,Deps,GoFiles", "./...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal("go list:", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

// below says whether path is prefix or lies below it; a prefix that ends in a slash or is empty matches all below.
func below(path, prefix string) bool {
	return prefix == "" || path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}

func TestImportLaw(t *testing.T) {
	for _, p := range list(t) {
		short := strings.TrimPrefix(p.ImportPath, module)
		for _, l := range laws {
			if below(short, "test") || !below(short, l.prefix) || slices.ContainsFunc(l.except, func(e string) bool { return below(short, e) }) {
				continue
			}
			imports := p.Deps
			if l.direct {
				imports = p.Imports
			}
			for _, i := range imports {
				if slices.ContainsFunc(l.never, func(n string) bool { return below(i, n) }) {
					t.Errorf("%s imports %s: %s", short, i, l.why)
				}
			}
		}
	}
}

func TestPurePackages(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		short := strings.TrimPrefix(p.ImportPath, module)
		exempt, isPure := pure[short]
		if !isPure {
			continue
		}
		seen[short] = true
		for _, name := range p.GoFiles {
			if slices.Contains(exempt, name) {
				continue
			}
			checkPure(t, short, filepath.Join(p.Dir, name))
		}
	}
	for name := range pure {
		if !seen[name] {
			t.Errorf("the list of pure packages names %s, which is not there", name)
		}
	}
}

func checkPure(t *testing.T, short, path string) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range f.Imports {
		name := strings.Trim(i.Path.Value, `"`)
		foreign := strings.Contains(name, ".") && !strings.HasPrefix(name, module) && name != "golang.org/x/crypto/md4"
		if slices.Contains(pureImports, name) || foreign {
			t.Errorf("%s: %s imports %s: pure packages have no sockets, files, locks, loggers or randomness", short, filepath.Base(path), name)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s: a goroutine in a pure package", fset.Position(n.Pos()))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Obj == nil && slices.Contains(clockCalls[x.Name], n.Sel.Name) {
				t.Errorf("%s: %s.%s in a pure package", fset.Position(n.Pos()), x.Name, n.Sel.Name)
			}
		}
		return true
	})
}
