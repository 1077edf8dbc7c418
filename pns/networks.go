package pns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"go.uber.org/zap"

	"trunkline.example/pns/config"
	"trunkline.example/shared/logging"
)

// networks are those behind sessions that this host routes to the TUN. Several sessions may have the same one, of which the first carries it: its
// route goes with the last.
type networks struct {
	mu   sync.Mutex
	used map[netip.Prefix]int
}

// network routes what lies behind a user to the session. What cannot be routed is left out, and told: the user has its address at least.
func (d *loginDesk) network(g *grant, prefixes []netip.Prefix) {
	cfg := d.server.cfg.Load()
	for _, p := range prefixes {
		err := mayLieBehind(cfg, p)
		if err == nil {
			err = d.networks.take(p, d.server)
		}
		if err != nil {
			d.server.limited.Error("the network behind a user is not routed", zap.String(logging.KeyUser, g.user), zap.Stringer("network", p), zap.Error(err))
			continue
		}
		g.behind = append(g.behind, p)
	}
}

// mayLieBehind says why a network cannot be a user's: it is routed to the TUN already, and must stay so.
func mayLieBehind(cfg *config.Config, p netip.Prefix) error {
	if slices.ContainsFunc(cfg.Pool.Prefixes, p.Overlaps) {
		return errors.New("it overlaps with the pool")
	}
	for _, s := range cfg.Sites {
		if slices.Contains(s.Routes, p) {
			return fmt.Errorf("it lies behind site %q", s.Name)
		}
	}
	return nil
}

func (n *networks) take(p netip.Prefix, s *Server) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.used[p] == 0 && s.routes != nil {
		if err := s.routes.AddNetwork(p); err != nil {
			return err
		}
	}
	if n.used == nil {
		n.used = make(map[netip.Prefix]int)
	}
	n.used[p]++
	return nil
}

// adopt takes over what a former process has routed.
func (n *networks) adopt(prefixes []netip.Prefix) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.used == nil {
		n.used = make(map[netip.Prefix]int)
	}
	for _, p := range prefixes {
		n.used[p]++
	}
}

func (n *networks) release(prefixes []netip.Prefix, s *Server) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range prefixes {
		if n.used[p]--; n.used[p] > 0 {
			continue
		}
		delete(n.used, p)
		if s.routes == nil {
			continue
		}
		if err := s.routes.RemoveNetwork(p); err != nil {
			s.log.Warn("route not removed", zap.Stringer("network", p), zap.Error(err))
		}
	}
}
