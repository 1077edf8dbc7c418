package dataplane

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// table maps 63-bit keys to values. Look-ups take no lock and write nothing, so that any number of goroutines
// may look up for each packet while another one inserts or deletes. Its zero value is ready for use.
//
// It is an open-addressing hash with linear probing. A cell's key, once written, never changes in one generation of
// the cells; deleting empties the value only, and a rebuild into fresh cells drops what is empty. So a reader that has
// seen a key can never pick up the value of another one.
type table[V any] struct {
	live atomic.Pointer[cells[V]]

	mu    sync.Mutex // writers
	count int        // keys with a value
	used  int        // cells with a key
}

type cells[V any] struct {
	shift      uint
	multiplier uint64
	cell       []cell[V]
}

type cell[V any] struct {
	key   atomic.Uint64 // 0 = never used; otherwise the key with occupied set
	value atomic.Pointer[V]
}

const (
	occupied     = 1 << 63
	minTableBits = 4
)

// get returns the value of key, or nil.
func (t *table[V]) get(key uint64) *V {
	c := t.live.Load()
	if c == nil {
		return nil
	}
	want := key | occupied
	for i := c.start(want); ; i = c.next(i) {
		switch c.cell[i].key.Load() {
		case want:
			return c.cell[i].value.Load()
		case 0:
			return nil
		}
	}
}

// insert sets the value of a key that has none and reports whether it did; a key in use is left alone.
func (t *table[V]) insert(key uint64, v *V) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.live.Load(); c == nil || (t.used+1)*4 > len(c.cell)*3 {
		t.rebuild()
	}
	c := t.live.Load()
	want := key | occupied
	for i := c.start(want); ; i = c.next(i) {
		switch c.cell[i].key.Load() {
		case want:
			if c.cell[i].value.Load() != nil {
				return false
			}
			c.cell[i].value.Store(v)
			t.count++
			return true
		case 0:
			c.cell[i].value.Store(v)
			c.cell[i].key.Store(want)
			t.count++
			t.used++
			return true
		}
	}
}

// remove deletes key if its value is v, and reports whether it did.
func (t *table[V]) remove(key uint64, v *V) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.live.Load()
	if c == nil {
		return false
	}
	want := key | occupied
	for i := c.start(want); ; i = c.next(i) {
		switch c.cell[i].key.Load() {
		case want:
			if v == nil || !c.cell[i].value.CompareAndSwap(v, nil) {
				return false
			}
			t.count--
			return true
		case 0:
			return false
		}
	}
}

// len returns the number of keys.
func (t *table[V]) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// each calls f for every value there is at some moment of the call; f must not write to the table.
func (t *table[V]) each(f func(*V)) {
	c := t.live.Load()
	if c == nil {
		return
	}
	for i := range c.cell {
		if v := c.cell[i].value.Load(); v != nil {
			f(v)
		}
	}
}

// rebuild copies what is alive into fresh cells, at most half full. The caller holds mu.
func (t *table[V]) rebuild() {
	bits := uint(minTableBits)
	for 1<<bits < (t.count+1)*2 {
		bits++
	}
	// An odd random multiplier per generation: nobody outside can choose addresses that collide.
	fresh := &cells[V]{shift: 64 - bits, multiplier: rand.Uint64() | 1, cell: make([]cell[V], 1<<bits)}
	used := 0
	if old := t.live.Load(); old != nil {
		for i := range old.cell {
			v := old.cell[i].value.Load()
			if v == nil {
				continue
			}
			key := old.cell[i].key.Load()
			j := fresh.start(key)
			for fresh.cell[j].key.Load() != 0 {
				j = fresh.next(j)
			}
			fresh.cell[j].value.Store(v)
			fresh.cell[j].key.Store(key)
			used++
		}
	}
	t.used = used
	t.live.Store(fresh)
}

func (c *cells[V]) start(key uint64) uint64 { return key * c.multiplier >> c.shift }

func (c *cells[V]) next(i uint64) uint64 { return (i + 1) & uint64(len(c.cell)-1) }
