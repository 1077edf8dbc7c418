package at

// MaxLine is the longest line a modem may say, in octets. What is longer is
// noise: it is dropped and counted.
const MaxLine = 512

// Tokenizer cuts the octets that come from a modem in command state into
// lines. It accepts any split of the stream and any mixture of CR and LF, and
// drops empty lines and octets that are no text: parity is masked, control
// characters are discarded, backspaces of an echo are obeyed. The zero
// Tokenizer is ready.
type Tokenizer struct {
	input []byte // fed, not yet looked at
	line  []byte // the line so far
	long  bool   // the line is too long and is being skipped
	lf    bool   // a line feed that comes first belongs to CONNECT
	noise uint64
	odd   int // octets that are no text, since they were asked for
}

// Feed adds octets from the modem. b is not kept.
func (t *Tokenizer) Feed(b []byte) { t.input = append(t.input, b...) }

// Next returns the next complete line without its end. The octets after it
// remain: when the line is a CONNECT, the caller asks for them with Data.
func (t *Tokenizer) Next() (string, bool) {
	for i, c := range t.input {
		if c >= 0x7f || c < ' ' && c != '\r' && c != '\n' && c != '\b' && c != '\t' {
			t.odd++
		}
		c &= 0x7f
		switch {
		case c == '\r' || c == '\n':
			if len(t.line) == 0 || t.long {
				t.line, t.long = t.line[:0], false
				continue
			}
			text := string(t.line)
			t.line = t.line[:0]
			t.lf = c == '\r'
			t.input = t.input[i+1:]
			return text, true
		case c == '\b' || c == 0x7f:
			if len(t.line) > 0 {
				t.line = t.line[:len(t.line)-1]
			}
		case c < ' ' || t.long:
		case len(t.line) >= MaxLine:
			t.long = true
			t.noise++
		default:
			t.line = append(t.line, c)
		}
	}
	t.input = t.input[:0]
	return "", false
}

// Pending returns the line that has begun but not ended: a prompt, an echo, or
// noise. It is valid until the next call.
func (t *Tokenizer) Pending() string { return string(t.line) }

// Noise returns how many overlong lines were dropped.
func (t *Tokenizer) Noise() uint64 { return t.noise }

// Garbled returns how many octets that are no text were seen since it was last
// called: a modem that speaks at another speed makes them of all that it says.
func (t *Tokenizer) Garbled() int {
	n := t.odd
	t.odd = 0
	return n
}

// Data passes octets through that arrive when the line last returned was a
// CONNECT: it returns what had been fed after that line, followed by b, without
// the line feed that still belongs to CONNECT. The result may alias b. It may
// be called for all data of the call.
func (t *Tokenizer) Data(b []byte) []byte {
	if len(t.input) > 0 {
		b = append(append([]byte(nil), t.input...), b...)
		t.input = nil
	}
	if t.lf && len(b) > 0 {
		t.lf = false
		if b[0] == '\n' {
			b = b[1:]
		}
	}
	return b
}

// Reset forgets everything that was fed.
func (t *Tokenizer) Reset() { *t = Tokenizer{noise: t.noise} }
