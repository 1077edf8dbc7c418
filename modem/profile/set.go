package profile

import (
	_ "embed"
	"errors"
	"slices"
	"strings"
	"sync"

	"trunkline.example/modem/at"
	"trunkline.example/shared/conf"
)

//go:embed families.toml
var families []byte

// questions are what a modem is asked to be recognised.
var questions = []string{"AT+GMI", "AT+GMM", "AT+FMM", "ATI", "ATI1", "ATI3"}

// Questions returns the commands whose answers Recognise wants. Refusals do not matter.
func Questions() []string { return slices.Clone(questions) }

// Set is the families that are known. Later ones are looked at first. It is never changed.
type Set []Profile

// Builtin returns the families that are built in.
var Builtin = sync.OnceValue(func() Set { return MustParse("families.toml", families) })

// MustParse returns the families of a text that is part of the program; it panics if that is wrong.
func MustParse(file string, text []byte) Set {
	document, err := conf.Parse(file, text)
	if err != nil {
		panic(err)
	}
	var root struct {
		Family []conf.Section `toml:"family"`
	}
	if err := document.Decode(&root); err != nil {
		panic(err)
	}
	s, err := Set(nil).Extend(root.Family)
	if err != nil {
		panic(err)
	}
	return s
}

// Extend returns the set with profiles of a configuration added. One with the name of a family that there is changes
// it: keys that it does not give stay. Another one has the keys of the family that it extends, or of the generic one,
// but for what it is recognised by. The error joins everything that is wrong.
func (s Set) Extend(sections []conf.Section) (Set, error) {
	out := slices.Clone(s)
	var problems []error
	for _, section := range sections {
		fail := func(key, format string, args ...any) {
			problems = append(problems, section.Errorf(key, format, args...))
		}
		name, _ := section.Values["name"].(string)
		base, _ := section.Values["extends"].(string)
		if name == "" || at.Printable(name, 32) != name || name == Auto {
			fail("name", "a profile needs a name of at most 32 printable characters, other than %q", Auto)
			continue
		}
		p, exists := out.Get(name)
		switch parent, ok := out.Get(base); {
		case base != "" && (exists || !ok):
			fail("extends", "%q is no other profile that stands before this one", base)
		case base == "" && !exists:
			p, _ = out.Get(Generic)
		case !exists:
			p = parent
		}
		if !exists {
			p.USB, p.Says = nil, nil
		}
		if err := section.Decode(&p); err != nil {
			problems = append(problems, err)
			continue
		}
		p.check(func(key string, err error) { fail(key, "%w", err) })
		out = slices.DeleteFunc(out, func(other Profile) bool { return other.Name == name })
		out = append(out, p)
	}
	return out, errors.Join(problems...)
}

// Get returns the profile of that name.
func (s Set) Get(name string) (Profile, bool) {
	i := slices.IndexFunc(s, func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, false
	}
	return s[i], true
}

// Has says whether any family has commands for a protocol.
func (s Set) Has(protocol string) bool {
	return slices.ContainsFunc(s, func(p Profile) bool { return p.Has(protocol) })
}

// Protocols returns the protocols that families have commands for.
func (s Set) Protocols() []string {
	return slices.DeleteFunc(slices.Clone(ProtocolNames), func(name string) bool { return !s.Has(name) })
}

// Names returns the names of all profiles.
func (s Set) Names() []string {
	names := make([]string, len(s))
	for i, p := range s {
		names[i] = p.Name
	}
	slices.Sort(names)
	return names
}

// Identity is what is known of a modem.
type Identity struct {
	USB  string   // vendor:product in hexadecimal; empty if it is not a USB device
	Said []string // answers to the Questions
}

// Recognise returns the profile of a modem: by its USB identity, which no adapter shares with a family, or else by what
// it says of itself, or else the generic one.
func (s Set) Recognise(id Identity) Profile {
	for _, find := range []func(Profile) bool{
		func(p Profile) bool { return anyMatch(p.USB, []string{id.USB}) },
		func(p Profile) bool { return anyMatch(p.Says, id.Said) },
	} {
		for _, p := range slices.Backward(s) {
			if find(p) {
				return p
			}
		}
	}
	p, _ := s.Get(Generic)
	return p
}

func anyMatch(patterns, texts []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return match(strings.ToLower(pattern), strings.ToLower(text)) })
	})
}

// match says whether text is the pattern, in which * stands for anything.
func match(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	if last == 0 {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, parts[0])
	for _, part := range parts[1:last] {
		if !ok {
			return false
		}
		_, text, ok = strings.Cut(text, part)
	}
	return ok && strings.HasSuffix(text, parts[last])
}
