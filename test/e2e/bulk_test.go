package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"testing"
)

// bulkSize is how much the TCP transfers carry each way.
const bulkSize = 10 << 20

// bulkData is the transfers' content: nothing a compressor or a stuck counter could imitate.
func bulkData() []byte {
	data := make([]byte, bulkSize)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(data)
	return data
}

// serveBulk answers two ports: on upload it reads all and answers with the sum; on download it sends the data.
func serveBulk(t testing.TB, upload, download net.Listener, data []byte) {
	t.Helper()
	go each(upload, func(c net.Conn) {
		sum := sha256.New()
		n, _ := io.Copy(sum, c)
		fmt.Fprintf(c, "%d %x\n", n, sum.Sum(nil))
	})
	go each(download, func(c net.Conn) { _, _ = io.Copy(c, bytes.NewReader(data)) })
}

func each(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

// writeBulk puts the data and its sum into a guest's exchange directory, as "data" and "sum".
func writeBulk(t testing.TB, dir string, data []byte) {
	t.Helper()
	write(t, dir, "data", string(data))
	write(t, dir, "sum", fmt.Sprintf("%d %x\n", len(data), sha256.Sum256(data)))
}

// bulkScript defines `bulk ADDRESS` for guests: up to port 7001, down from port 7002, byte for byte.
const bulkScript = `
bulk() {
	socat -t 60 OPEN:/xchg/data,rdonly!!CREATE:/tmp/answer TCP:"$1":7001
	cmp /tmp/answer /xchg/sum
	echo "bulk: up the same"
	socat -u TCP:"$1":7002 CREATE:/tmp/got
	cmp /tmp/got /xchg/data
	echo "bulk: down the same"
}
# pings ADDRESS SIZE...: twenty of each size, none lost. On a slow line, set interval; through names an interface. With -w ping waits
# for twenty answers, however late they come on a busy machine, and sends more meanwhile: the first twenty must be among them.
pings() {
	local to=$1 out; shift
	out=$(mktemp)
	for size in "$@"; do
		ping -c 20 -w 40 -i "${interval:-0.1}" ${through:+-I "$through"} -s "$size" "$to" > "$out" || :
		[ "$(sed -n 's/.* icmp_seq=\([0-9]*\) .*/\1/p' "$out" | sort -nu | sed -n 20p)" = 20 ] || { cat "$out"; return 1; }
		echo "pings: $size octets: $(tail -n 1 "$out")"
	done
}
`

// path is a file of the exchange directory.
func path(dir, name string) string { return filepath.Join(dir, name) }
