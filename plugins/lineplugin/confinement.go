package lineplugin

import (
	"errors"
	"path/filepath"

	"trunkline.example/shared/confine"
)

// errNotWanted is why a driver is not confined that need not be.
var errNotWanted = errors.New("it is not to be")

// Confinement says whether a driver's process can open no other files than it needs.
type Confinement struct {
	Confined bool   `json:"confined"`
	Why      string `json:"why,omitempty"` // it is not
}

func confinement(unconfined error) Confinement {
	if unconfined != nil {
		return Confinement{Why: unconfined.Error()}
	}
	return Confinement{Confined: true}
}

// rules are what the process of a command may open whose socket is in a directory: what every program needs, its own executable with what lies beside it, if it is
// somebody else's, and the socket. The directory itself it removes when its host has died.
func (c *Command) rules(socketDir string) []confine.Rule {
	if !c.Confine {
		return nil
	}
	const own = confine.Read | confine.Run
	rules := append(confine.System(), confine.Rule{Path: c.Path, Rights: own})
	if c.Foreign {
		rules = append(rules, confine.Rule{Path: filepath.Dir(c.Path), Rights: own})
		if target, err := filepath.EvalSymlinks(c.Path); err == nil {
			rules = append(rules, confine.Rule{Path: filepath.Dir(target), Rights: own})
		}
	}
	rules = append(rules,
		confine.Rule{Path: socketDir, Rights: confine.Read | confine.Change}, confine.Rule{Path: filepath.Dir(socketDir), Rights: confine.Empty})
	return append(rules, c.Files...)
}
