package pns

import "iter"

// callSet is the calls of a control connection by our Call ID. The connection of a client has one call, which needs no map. The zero
// value is empty.
type callSet struct {
	one  *call // if there is no more than this
	more map[uint16]*call
}

func (s *callSet) len() int {
	if s.one != nil {
		return 1
	}
	return len(s.more)
}

// get returns the call with a Call ID, or nil.
func (s *callSet) get(own uint16) *call {
	if s.one != nil && s.one.own == own {
		return s.one
	}
	return s.more[own]
}

func (s *callSet) add(k *call) {
	if s.len() == 0 {
		s.one, s.more = k, nil
		return
	}
	if s.one != nil {
		s.one, s.more = nil, map[uint16]*call{s.one.own: s.one}
	}
	s.more[k.own] = k
}

func (s *callSet) remove(k *call) {
	if s.one == k {
		s.one = nil
		return
	}
	delete(s.more, k.own)
}

// all are the calls, in no order. They may be removed meanwhile.
func (s *callSet) all() iter.Seq[*call] {
	return func(yield func(*call) bool) {
		if s.one != nil {
			yield(s.one)
			return
		}
		for _, k := range s.more {
			if !yield(k) {
				return
			}
		}
	}
}
