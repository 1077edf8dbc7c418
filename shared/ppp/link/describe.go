package link

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/fsm"
	"trunkline.example/shared/ppp/ipcp"
	"trunkline.example/shared/ppp/lcp"
)

// Describe puts a frame into one line for debug logs, without secrets: protocol, code,
// identifier, options. Packets of authentication are named and not shown.
func Describe(frame []byte) string {
	proto, info, err := ppp.Split(frame)
	if err != nil {
		return err.Error()
	}
	switch proto {
	case ppp.LCP, ppp.CCP, ppp.IPCP:
	case ppp.PAP, ppp.CHAP:
		return describeAuth(proto, info)
	default:
		return fmt.Sprintf("%v, %d octets", proto, len(info))
	}
	p, err := fsm.ParsePacket(info)
	if err != nil {
		return fmt.Sprintf("%v: %v", proto, err)
	}
	s := fmt.Sprintf("%v %v %d", proto, p.Code, p.Identifier)
	switch p.Code {
	case fsm.ConfigureRequest, fsm.ConfigureAck, fsm.ConfigureNak, fsm.ConfigureReject:
		return s + describeOptions(proto, p.Data)
	case fsm.TerminateRequest, fsm.TerminateAck:
		if len(p.Data) > 0 {
			s += fmt.Sprintf(" %q", ppp.Text(p.Data))
		}
	case fsm.CodeReject:
		if len(p.Data) > 0 {
			s += fmt.Sprintf(" of %v", fsm.Code(p.Data[0]))
		}
	case fsm.ProtocolReject:
		if len(p.Data) >= 2 {
			s += fmt.Sprintf(" of %v", ppp.Protocol(binary.BigEndian.Uint16(p.Data)))
		}
	}
	return s
}

func describeAuth(proto ppp.Protocol, info []byte) string {
	if len(info) < 2 {
		return fmt.Sprintf("%v, %d octets", proto, len(info))
	}
	names := []string{"Challenge", "Response", "Success", "Failure"}
	if proto == ppp.PAP {
		names = []string{"Authenticate-Request", "Authenticate-Ack", "Authenticate-Nak"}
	}
	if i := int(info[0]) - 1; i >= 0 && i < len(names) {
		return fmt.Sprintf("%v %s %d", proto, names[i], info[1])
	}
	return fmt.Sprintf("%v code %d %d", proto, info[0], info[1])
}

func describeOptions(proto ppp.Protocol, list []byte) string {
	var s strings.Builder
	for len(list) > 0 {
		o, rest, err := fsm.NextOption(list)
		if err != nil {
			return s.String() + " <" + err.Error() + ">"
		}
		list = rest
		text := ""
		switch proto {
		case ppp.LCP:
			text = describeLCP(o)
		case ppp.CCP:
			text = describeCCP(o)
		case ppp.IPCP:
			text = describeIPCP(o)
		}
		if text == "" {
			text = fmt.Sprintf("option %d %s", o.Type, hex.EncodeToString(o.Data))
		}
		s.WriteString(" <" + strings.TrimSpace(text) + ">")
	}
	return s.String()
}

func describeLCP(o fsm.Option) string {
	switch {
	case o.Type == lcp.OptionMRU && len(o.Data) == 2:
		return fmt.Sprintf("MRU %d", binary.BigEndian.Uint16(o.Data))
	case o.Type == lcp.OptionACCM && len(o.Data) == 4:
		return "ACCM " + hex.EncodeToString(o.Data)
	case o.Type == lcp.OptionMagic && len(o.Data) == 4:
		return "magic " + hex.EncodeToString(o.Data)
	case o.Type == lcp.OptionPFC:
		return "PFC"
	case o.Type == lcp.OptionACFC:
		return "ACFC"
	case o.Type == lcp.OptionMRRU && len(o.Data) == 2:
		return fmt.Sprintf("MRRU %d", binary.BigEndian.Uint16(o.Data))
	case o.Type == lcp.OptionCallback:
		return "callback " + hex.EncodeToString(o.Data)
	case o.Type == lcp.OptionEndpoint:
		return "endpoint " + hex.EncodeToString(o.Data)
	case o.Type == lcp.OptionAuthentication:
		if p, ok := auth.ParseOption(o.Data); ok {
			return "authenticate by " + p.String()
		}
	}
	return ""
}

func describeCCP(o fsm.Option) string {
	switch {
	case o.Type == ccp.OptionMPPE && len(o.Data) == 4:
		bits := binary.BigEndian.Uint32(o.Data)
		return fmt.Sprintf("MPPE %08x %v", bits, ccp.Bits(bits))
	case o.Type == ccp.OptionBSD:
		return "BSD-Compress " + hex.EncodeToString(o.Data)
	case o.Type == ccp.OptionDeflate, o.Type == ccp.OptionMagnalink:
		return "Deflate " + hex.EncodeToString(o.Data)
	}
	return ""
}

func describeIPCP(o fsm.Option) string {
	names := map[uint8]string{ipcp.OptionAddress: "address", ipcp.OptionPrimaryDNS: "DNS 1", ipcp.OptionSecondDNS: "DNS 2",
		ipcp.OptionPrimaryWINS: "WINS 1", ipcp.OptionSecondWINS: "WINS 2"}
	if name, ok := names[o.Type]; ok && len(o.Data) == 4 {
		a, _ := netip.AddrFromSlice(o.Data)
		return name + " " + a.String()
	}
	if o.Type == ipcp.OptionCompression {
		return "compression " + hex.EncodeToString(o.Data)
	}
	return ""
}
