package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"trunkline.example/shared/line"
)

// Driver opens cables. It implements line.Driver.
type Driver struct{}

const (
	name    = "cable"
	version = "1.0"
	// defaultSpeed is told where the configuration says none, in bit/s: a cable has no speed that could be known.
	defaultSpeed = 115200
)

// Info implements line.Driver.
func (Driver) Info() line.Info {
	return line.Info{
		Name: name, Version: version, Contract: line.ContractVersion,
		Capabilities: line.Capabilities{Answer: true, Reject: true, Bearers: line.BearerDigital, Framings: line.FramingAsync},
	}
}

// section is what stands under options.
type section struct {
	Line []lineSection `toml:"line"`
}

// lineSection is one cable.
type lineSection struct {
	Name   string `toml:"name"`   // of the line
	Listen string `toml:"listen"` // where the far computer's end is plugged in: "unix:/PATH" or "tcp:ADDRESS:PORT"
	Number string `toml:"number"` // to be reported as called
	Speed  uint32 `toml:"speed"`  // in bit/s
	Silent bool   `toml:"silent"` // the far computer says no CLIENT: its first octet is a call
}

// Open implements line.Driver.
func (Driver) Open(_ context.Context, s line.Section) ([]line.Line, error) {
	var parsed section
	d := toml.NewDecoder(bytes.NewReader(s.Text)).DisallowUnknownFields()
	if err := d.Decode(&parsed); err != nil {
		return nil, invalid(s, describe(err))
	}
	if len(parsed.Line) == 0 {
		return nil, invalid(s, "line: there is none")
	}
	names := map[string]bool{}
	for i, l := range parsed.Line {
		switch _, _, err := l.endpoint(); {
		case l.Name == "":
			return nil, invalid(s, fmt.Sprintf("line[%d].name: missing", i))
		case names[l.Name]:
			return nil, invalid(s, fmt.Sprintf("line[%d].name: %q is used twice", i, l.Name))
		case err != nil:
			return nil, invalid(s, fmt.Sprintf("line[%d].listen: %v", i, err))
		}
		names[l.Name] = true
	}
	var lines []line.Line
	for i, l := range parsed.Line {
		if l.Speed == 0 {
			l.Speed = defaultSpeed
		}
		lines = append(lines, newCable(l, uint32(i+1)))
	}
	return lines, nil
}

// endpoint is where a cable listens, as package net wants it.
func (l lineSection) endpoint() (network, address string, err error) {
	if path, ok := strings.CutPrefix(l.Listen, "unix:"); ok && strings.HasPrefix(path, "/") {
		return "unix", path, nil
	}
	if address, ok := strings.CutPrefix(l.Listen, "tcp:"); ok {
		if _, err := netip.ParseAddrPort(address); err == nil {
			return "tcp", address, nil
		}
	}
	return "", "", fmt.Errorf("%q is neither unix:/PATH nor tcp:ADDRESS:PORT", l.Listen)
}

// invalid is the error of a section that cannot be used, with its place.
func invalid(s line.Section, text string) error {
	if s.File != "" {
		text = s.File + ": " + text
	}
	return &line.Error{Code: line.CodeConfiguration, Text: text}
}

// describe says what is wrong with TOML, and in which line.
func describe(err error) string {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		row, _ := unknown.Errors[0].Position()
		return fmt.Sprintf("line %d: %s: unknown key", row, strings.Join(unknown.Errors[0].Key(), "."))
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		row, column := bad.Position()
		return fmt.Sprintf("line %d, column %d: %s", row, column, strings.TrimPrefix(bad.Error(), "toml: "))
	}
	return err.Error()
}
