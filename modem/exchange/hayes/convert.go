package hayes

import "trunkline.example/shared/hdlc"

// longestFrame bounds a frame that is converted, in octets without its FCS.
const longestFrame = 2048

// startConversion begins a call of an adapter that turns asynchronous into
// synchronous PPP.
func (m *Modem) startConversion() {
	m.converter = hdlc.NewDeframer(longestFrame)
	m.converter.SetReceiveACCM(0) // it takes what comes: which characters are escaped is the client's affair
}

// convert takes octets of the client and queues the whole frames in them for the
// line. Frames whose FCS fails end here, as in the controller of an adapter. On
// the circuit, which carries octets, a frame has its flags, and all control
// characters are escaped, whatever map the client's own octets were made with:
// the adapter at the other end would give it to its client just so.
func (m *Modem) convert(data []byte) {
	for len(data) > 0 {
		var frame []byte
		if frame, data = m.converter.Next(data); frame != nil {
			m.s.Transmit = hdlc.AppendFrame(m.s.Transmit, frame, hdlc.DefaultACCM)
		}
	}
}
