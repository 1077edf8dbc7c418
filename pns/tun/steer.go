package tun

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Left to itself the kernel learns which queue a flow was written to last, forgets that after three seconds, and spreads the flows that it does not know over
// all queues by a hash. So a stream that its receiver does not answer would change queues in its middle, and packets of one client would be read,
// numbered and sent on several processors at one time and overtake each other. A program of ours chooses by the destination instead: all of a
// client's packets come by one queue, in order, and a client that is flooded fills the queue of a few.
//
// What lies behind a client or a site comes by the first queue, all of it.

// instruction is one of BPF's as the kernel has it.
type instruction struct {
	code      uint8
	registers uint8 // destination, and the source times 16; a machine that has it the other way round gets a refusal
	offset    int16
	constant  uint32
}

const (
	destinationAt = 16 // in an IPv4 header

	result, scratch, argument, packetOf = 0, 1, 1, 6 // registers

	isEqual32 = unix.BPF_JMP32 | unix.BPF_JEQ | unix.BPF_K
	move      = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_X
	move32    = unix.BPF_ALU | unix.BPF_MOV | unix.BPF_X
	set32     = unix.BPF_ALU | unix.BPF_MOV | unix.BPF_K
	and32     = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	add32     = unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K
	modulo32  = unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K
	load      = unix.BPF_LD | unix.BPF_ABS | unix.BPF_W
	end       = unix.BPF_JMP | unix.BPF_EXIT

	each         = 3    // instructions for a prefix
	mostPrefixes = 4096 // that the program looks at: a jump may be of 32,767 instructions
)

// steering makes the program that returns the number of a packet's queue, for two queues at least. What is too short for an address goes to the first one, and
// to clients beyond the first mostPrefixes.
func steering(clients []netip.Prefix, queues int) []instruction {
	program := []instruction{
		{code: move, registers: packetOf | argument<<4}, // where load looks for the packet
		{code: load, constant: destinationAt},
	}
	clients = clients[:min(len(clients), mostPrefixes)]
	for i, prefix := range clients {
		prefix = prefix.Masked()
		first := prefix.Addr().As4()
		rest := each * (len(clients) - i - 1)
		program = append(program,
			instruction{code: move32, registers: scratch | result<<4},
			instruction{code: and32, registers: scratch, constant: ^uint32(uint64(1)<<(32-prefix.Bits()) - 1)},
			instruction{code: isEqual32, registers: scratch, offset: int16(rest + 2), constant: binary.BigEndian.Uint32(first[:])})
	}
	return append(program,
		instruction{code: set32, registers: result}, instruction{code: end},
		instruction{code: modulo32, registers: result, constant: uint32(queues - 1)},
		instruction{code: add32, registers: result, constant: 1},
		instruction{code: end})
}

// steer has the program choose the queues of the interface from now on, also after this process.
func steer(raw syscall.RawConn, program []instruction) error {
	number, err := loadProgram(program)
	if err != nil {
		return fmt.Errorf("the kernel does not take a program that chooses queues; it needs CAP_BPF or CAP_SYS_ADMIN, outside of user namespaces, and Linux 5.8 (%w)", err)
	}
	defer unix.Close(number) // the interface keeps the program
	if controlErr := raw.Control(func(fd uintptr) { err = unix.IoctlSetPointerInt(int(fd), unix.TUNSETSTEERINGEBPF, number) }); controlErr != nil {
		return controlErr
	}
	if err != nil {
		return fmt.Errorf("the kernel does not let a program choose queues: %w", err)
	}
	return nil
}

// loadProgram hands a program to the kernel and returns its descriptor.
func loadProgram(program []instruction) (int, error) {
	license := append([]byte("none"), 0)
	var pinned runtime.Pinner
	defer pinned.Unpin()
	pinned.Pin(&program[0])
	pinned.Pin(&license[0])
	request := struct {
		kind, count                uint32
		instructions, license      uint64
		logLevel, logSize          uint32
		log                        uint64
		kernelVersion, programFlag uint32
	}{kind: unix.BPF_PROG_TYPE_SOCKET_FILTER, count: uint32(len(program)),
		instructions: uint64(uintptr(unsafe.Pointer(&program[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0])))}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&request)), unsafe.Sizeof(request))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
