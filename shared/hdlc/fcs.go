package hdlc

// The 16-bit frame check sequence (RFC 1662 section C.2).
const (
	// FCSInit is the value to begin with.
	FCSInit = 0xFFFF
	// FCSGood is the value after a frame and its FCS without error.
	FCSGood = 0xF0B8

	fcsLength     = 2
	fcsPolynomial = 0x8408 // x^16 + x^12 + x^5 + 1, least significant bit first
)

// fcsAtOnce is how many octets FCS takes in one step, without waiting for the result of each.
const fcsAtOnce = 8

// fcsTables[n] is what an octet makes of the sequence when n other octets follow it.
var fcsTables = func() (tables [fcsAtOnce][256]uint16) {
	for i := range 256 {
		v := uint16(i)
		for range 8 {
			if v&1 != 0 {
				v = v>>1 ^ fcsPolynomial
			} else {
				v >>= 1
			}
		}
		tables[0][i] = v
	}
	for n := 1; n < fcsAtOnce; n++ {
		for i, v := range tables[n-1] {
			tables[n][i] = v>>8 ^ tables[0][byte(v)]
		}
	}
	return tables
}()

// FCS continues the frame check sequence fcs over b. The FCS field of a frame is the complement of FCS(FCSInit, frame), low
// octet first.
func FCS(fcs uint16, b []byte) uint16 {
	t := &fcsTables
	for ; len(b) >= fcsAtOnce; b = b[fcsAtOnce:] {
		fcs = t[7][b[0]^byte(fcs)] ^ t[6][b[1]^byte(fcs>>8)] ^ t[5][b[2]] ^ t[4][b[3]] ^ t[3][b[4]] ^ t[2][b[5]] ^ t[1][b[6]] ^ t[0][b[7]]
	}
	for _, c := range b {
		fcs = fcsOctet(fcs, c)
	}
	return fcs
}

func fcsOctet(fcs uint16, c byte) uint16 { return fcs>>8 ^ fcsTables[0][byte(fcs)^c] }
