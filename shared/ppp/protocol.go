package ppp

import "fmt"

// Protocol is a PPP protocol number.
type Protocol uint16

// Protocol numbers by the IANA registry "PPP DLL Protocol Numbers".
const (
	Padding      Protocol = 0x0001
	IPv4         Protocol = 0x0021
	OSI          Protocol = 0x0023
	AppleTalk    Protocol = 0x0029
	IPX          Protocol = 0x002B
	VJCompressed Protocol = 0x002D // Van Jacobson compressed TCP (RFC 1144)
	VJFull       Protocol = 0x002F // Van Jacobson uncompressed TCP
	Bridging     Protocol = 0x0031
	Multilink    Protocol = 0x003D
	NetBIOS      Protocol = 0x003F
	Encrypted    Protocol = 0x0053 // by ECP; not MPPE
	IPv6         Protocol = 0x0057
	Compressed   Protocol = 0x00FD // compressed datagram: MPPC and MPPE

	ATCP   Protocol = 0x8029
	IPCP   Protocol = 0x8021
	IPXCP  Protocol = 0x802B
	BCP    Protocol = 0x8031
	NBFCP  Protocol = 0x803F
	ECP    Protocol = 0x8053
	IPv6CP Protocol = 0x8057
	CCP    Protocol = 0x80FD
	LinkCP Protocol = 0x80FB // compression of one link in a bundle
	ACSCP  Protocol = 0x8235 // Apple client/server; macOS may open it

	LCP  Protocol = 0xC021
	PAP  Protocol = 0xC023
	LQR  Protocol = 0xC025
	SPAP Protocol = 0xC027
	CBCP Protocol = 0xC029
	BACP Protocol = 0xC02B
	BAP  Protocol = 0xC02D
	CHAP Protocol = 0xC223
	EAP  Protocol = 0xC227
)

var protocolNames = map[Protocol]string{
	Padding: "padding", IPv4: "IPv4", OSI: "OSI", AppleTalk: "AppleTalk", IPX: "IPX",
	VJCompressed: "VJ compressed TCP", VJFull: "VJ uncompressed TCP", Bridging: "bridging",
	Multilink: "multilink", NetBIOS: "NetBIOS", Encrypted: "encrypted (ECP)", IPv6: "IPv6",
	Compressed: "compressed datagram", ATCP: "ATCP", IPCP: "IPCP", IPXCP: "IPXCP", BCP: "BCP",
	NBFCP: "NBFCP", ECP: "ECP", IPv6CP: "IPv6CP", CCP: "CCP", LinkCP: "link CCP", ACSCP: "ACSCP",
	LCP: "LCP", PAP: "PAP", LQR: "LQR", SPAP: "SPAP", CBCP: "CBCP", BACP: "BACP", BAP: "BAP",
	CHAP: "CHAP", EAP: "EAP",
}

// String is the protocol's usual name, or its number.
func (p Protocol) String() string {
	if name, ok := protocolNames[p]; ok {
		return name
	}
	return fmt.Sprintf("protocol %04X", uint16(p))
}

// Valid tells whether the number keeps to the rules of RFC 1661 section 2 and RFC 1662
// section 3.1: last octet odd, first octet even, and not 00FF, which looks like an address.
func (p Protocol) Valid() bool { return p&0x0101 == 1 && p != 0x00FF }

// Data tells whether packets of this protocol carry a network's traffic (0xxx to
// 3xxx), as opposed to control.
func (p Protocol) Data() bool { return p < 0x4000 }
