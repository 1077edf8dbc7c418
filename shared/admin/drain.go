package admin

import "context"

// PathDrain is where both daemons are told to take no new calls (POST Drain), and tell how far that has come (GET); both answer a
// DrainState.
const PathDrain = "/drain"

// Drain is the body of POST PathDrain.
type Drain struct {
	Draining bool `json:"draining"` // false: new calls are taken again
}

// DrainState is whether a daemon takes new calls, and how many it still has.
type DrainState struct {
	Draining bool `json:"draining"`
	Calls    int  `json:"calls"`
}

// Drained adds the endpoint of PathDrain. set is told what is asked for, state what there is now.
func (s *Server) Drained(set func(draining bool), state func() DrainState) {
	s.Get(PathDrain, func(context.Context, *Request) (any, error) { return state(), nil })
	s.Post(PathDrain, func(_ context.Context, r *Request) (any, error) {
		var d Drain
		if err := r.Decode(&d); err != nil {
			return nil, err
		}
		set(d.Draining)
		return state(), nil
	})
}
