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

var fcsTable = func() (table [256]uint16) {
	for i := range table {
		v := uint16(i)
		for range 8 {
			if v&1 != 0 {
				v = v>>1 ^ fcsPolynomial
			} else {
				v >>= 1
			}
		}
		table[i] = v
	}
	return table
}()

// FCS continues the frame check sequence fcs over b. The FCS field of a frame is the complement of FCS(FCSInit, frame), low
// octet first.
func FCS(fcs uint16, b []byte) uint16 {
	for _, c := range b {
		fcs = fcsOctet(fcs, c)
	}
	return fcs
}

func fcsOctet(fcs uint16, c byte) uint16 { return fcs>>8 ^ fcsTable[byte(fcs)^c] }
