package pns

import "sync"

// logins knows who is logged in how often, over all shards. Safe for concurrent use.
type logins struct {
	mu     sync.Mutex
	byUser map[string][]*call // oldest first
}

// claim counts one more session of a user. Over the limit (0: none) it either refuses or, with replace, names the oldest ones that
// have to go.
func (l *logins) claim(user string, c *call, limit int, replace bool) (evict []*call, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byUser == nil {
		l.byUser = make(map[string][]*call)
	}
	have := l.byUser[user]
	if limit > 0 && len(have) >= limit {
		if !replace {
			return nil, false
		}
		evict = append(evict, have[:len(have)-limit+1]...)
	}
	l.byUser[user] = append(have, c)
	return evict, true
}

// release takes a session out again; doing so twice does nothing.
func (l *logins) release(user string, c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	have := l.byUser[user]
	for i := range have {
		if have[i] == c {
			have = append(have[:i:i], have[i+1:]...)
			break
		}
	}
	if len(have) == 0 {
		delete(l.byUser, user)
		return
	}
	l.byUser[user] = have
}
