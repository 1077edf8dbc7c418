package hayes

import "strings"

// verb says what a command asks for.
type verb uint8

const (
	act   verb = iota // number is the value, 0 if none was given
	set               // =value
	query             // ?
	test              // =?
)

// command is one command of a line.
type command struct {
	prefix byte   // 0 for letters, or one of & \ % + # - * $ @ : ! )
	name   string // capital letters and, for extended commands, digits
	number int    // the number after the name; -1 if there is none
	bit    int    // S-registers: the bit of S13.0; -1 if there is none
	verb   verb
	value  string // after =, and the dial string of D
}

// n is the number, or 0.
func (c command) n() int { return max(c.number, 0) }

// parser cuts a command line into commands.
type parser struct {
	rest    string
	strict  bool
	numbers bool // &E and &L have telephone numbers behind them
}

// next returns the next command; false at the end of the line.
func (p *parser) next() (command, bool) {
	p.rest = strings.TrimLeft(p.rest, " ;")
	if p.rest == "" {
		return command{}, false
	}
	c := command{number: -1, bit: -1}
	first := upper(p.rest[0])
	switch {
	case first >= 'A' && first <= 'Z':
		p.letter(&c)
	case first == '=' || first == '?':
		c.name = "S" // of the register named last
		p.tail(&c)
	case strings.IndexByte(`&\%`, first) >= 0:
		c.prefix = first
		p.rest = p.rest[1:]
		c.name = p.name(1, false)
		if p.numbers && first == '&' && (c.name == "E" || c.name == "L") {
			end := len(p.rest) - len(strings.TrimLeft(p.rest, "0123456789*?[]-,; "))
			c.value, p.rest = strings.ReplaceAll(p.rest[:end], " ", ""), p.rest[end:]
			break
		}
		p.number(&c)
		p.tail(&c)
	case first == '+':
		c.prefix = first
		p.rest = p.rest[1:]
		c.name = p.name(16, true)
		p.extendedTail(&c)
	default:
		c.prefix = first
		p.rest = p.rest[1:]
		c.name = p.name(16, true)
		p.tail(&c)
	}
	return c, true
}

// letter parses a basic command.
func (p *parser) letter(c *command) {
	c.name = p.name(1, false)
	if c.name == "D" {
		c.value, p.rest = p.rest, ""
		if i := strings.IndexByte(c.value, ';'); i >= 0 {
			c.value, p.rest = c.value[:i+1], c.value[i+1:]
		}
		return
	}
	p.number(c)
	if c.name != "S" {
		return
	}
	if strings.HasPrefix(p.rest, ".") {
		save := c.number
		p.rest, c.number = p.rest[1:], -1
		p.number(c)
		c.bit, c.number = max(c.number, 0), save
	}
	p.tail(c)
}

// name takes up to limit letters, and digits if asked to, skipping spaces.
func (p *parser) name(limit int, digits bool) string {
	var b strings.Builder
	for p.rest != "" && b.Len() < limit {
		ch := upper(p.rest[0])
		if ch != ' ' {
			if (ch < 'A' || ch > 'Z') && (!digits || ch < '0' || ch > '9') {
				break
			}
			b.WriteByte(ch)
		}
		p.rest = p.rest[1:]
	}
	return b.String()
}

// number takes digits, skipping spaces.
func (p *parser) number(c *command) {
	for p.rest != "" {
		ch := p.rest[0]
		if ch != ' ' {
			if ch < '0' || ch > '9' {
				return
			}
			c.number = min(max(c.number, 0)*10+int(ch-'0'), 1<<20)
		}
		p.rest = p.rest[1:]
	}
}

// tail parses =?, ?, and = with a value: digits, dots and commas, or, if it
// does not begin with a digit, all up to a semicolon.
func (p *parser) tail(c *command) {
	p.rest = strings.TrimLeft(p.rest, " ")
	switch {
	case strings.HasPrefix(p.rest, "=?"):
		c.verb, p.rest = test, p.rest[2:]
	case strings.HasPrefix(p.rest, "?"):
		c.verb, p.rest = query, p.rest[1:]
	case strings.HasPrefix(p.rest, "="):
		c.verb = set
		p.rest = strings.TrimLeft(p.rest[1:], " ")
		end := strings.IndexByte(p.rest, ';')
		if c.prefix == '&' && c.name == "Z" {
			end = -1 // a number with its commas, semicolon and letters
		}
		if p.rest != "" && p.rest[0] >= '0' && p.rest[0] <= '9' && (c.prefix != '&' || c.name != "Z") {
			end = strings.IndexFunc(p.rest, func(r rune) bool { return (r < '0' || r > '9') && r != ',' && r != '.' && r != ' ' })
		}
		if end < 0 {
			end = len(p.rest)
		}
		c.value, p.rest = strings.ReplaceAll(p.rest[:end], " ", ""), p.rest[end:]
	}
}

// extendedTail is tail with the rule of V.250: a value goes on to the semicolon.
// Unless the modem is strict, one that begins with a digit may end earlier, since
// people append S-registers to it.
func (p *parser) extendedTail(c *command) {
	p.rest = strings.TrimLeft(p.rest, " ")
	if !strings.HasPrefix(p.rest, "=") || strings.HasPrefix(p.rest, "=?") {
		p.tail(c)
		return
	}
	if v := strings.TrimLeft(p.rest[1:], " "); !p.strict && v != "" && v[0] >= '0' && v[0] <= '9' {
		p.tail(c)
		return
	}
	end := strings.IndexByte(p.rest, ';')
	if end < 0 {
		end = len(p.rest)
	}
	c.verb, c.value, p.rest = set, strings.TrimSpace(p.rest[1:end]), p.rest[end:]
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}
