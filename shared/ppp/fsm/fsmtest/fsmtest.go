// Package fsmtest drives the machines that are built on an fsm.Machine in tests.
package fsmtest

import (
	"testing"
	"time"

	"trunkline.example/shared/ppp/fsm"
)

// Epoch is when every test takes place.
var Epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Machine is a control protocol.
type Machine interface {
	Open(now time.Time)
	Up(now time.Time)
	Actions() []fsm.Action
}

// Start opens m over a lower layer that is up.
func Start[M Machine](m M) M {
	m.Open(Epoch)
	m.Up(Epoch)
	return m
}

// Receive hands m a packet.
func Receive(m interface{ Receive(time.Time, []byte) }, code fsm.Code, id uint8, data ...byte) {
	m.Receive(Epoch, fsm.AppendPacket(nil, fsm.Packet{Code: code, Identifier: id, Data: data}))
}

// Last drains m and returns the last packet that it sent, the zero Packet if it sent none.
func Last(t testing.TB, m Machine) fsm.Packet {
	t.Helper()
	var p fsm.Packet
	for _, a := range m.Actions() {
		if s, ok := a.(fsm.Send); ok {
			var err error
			if p, err = fsm.ParsePacket(s.Packet); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}

// Options puts options into a list.
func Options(of ...fsm.Option) []byte {
	var b []byte
	for _, o := range of {
		b = fsm.AppendOption(b, o)
	}
	return b
}

// Fuzz hands b to m twice and checks that what comes out can be read.
func Fuzz(t testing.TB, m interface {
	Machine
	Receive(time.Time, []byte)
}, b []byte) {
	t.Helper()
	m.Receive(Epoch, b)
	m.Receive(Epoch, b)
	Last(t, m)
}
