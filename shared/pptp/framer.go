package pptp

// Framer cuts the octet stream of a control connection into messages. It
// accepts any split of the stream and any number of messages per piece, and
// its verdict does not depend on the split.
//
// Usage: Feed a piece, then call Next until it reports no message. Between
// messages it holds no memory; in the middle of one it holds at most that
// message and what was fed after it.
//
// The zero value is ready to use. It is not safe for concurrent use.
type Framer struct {
	buf []byte // octets fed and not yet delivered start at off
	off int
	err error
}

// Feed appends a piece of the stream; b is copied. After an error it does
// nothing.
func (f *Framer) Feed(b []byte) {
	if f.err != nil || len(b) == 0 {
		return
	}
	if f.off > 0 {
		f.buf = append(f.buf[:0], f.buf[f.off:]...)
		f.off = 0
	}
	f.buf = append(f.buf, b...)
}

// Next returns the next whole message, header included, or false if more of
// the stream is needed. The message is valid until the next call of Feed or
// Next.
//
// An error means that the stream has lost its framing; it wraps ErrBadLength,
// ErrBadMessageType or ErrBadMagic, comes as soon as the offending octets are
// there, and comes again on every further call: RFC 2637 section 1.4 wants the
// connection closed, nobody may hunt for the next cookie.
func (f *Framer) Next() (msg []byte, ok bool, err error) {
	if f.err != nil {
		return nil, false, f.err
	}
	rest := f.buf[f.off:]
	if len(rest) == 0 {
		f.buf, f.off = nil, 0
		return nil, false, nil
	}
	length, err := checkHeader(rest)
	if err != nil {
		f.err = err
		f.buf, f.off = nil, 0
		return nil, false, err
	}
	if len(rest) < HeaderLength || len(rest) < length {
		return nil, false, nil
	}
	f.off += length
	return rest[:length:length], true, nil
}

// Buffered returns the octets that were fed and not yet delivered. They are
// the Framer's whole state: a fresh Framer that is fed with them goes on where
// this one stands. The slice is valid until the next call of Feed or Next.
func (f *Framer) Buffered() []byte { return f.buf[f.off:] }
