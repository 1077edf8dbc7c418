package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// savedName is the file that --save writes.
const savedName = "figures.json"

// load reads a file that save has written.
func (t *table) load(file string) error {
	octets, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(octets, t); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// save writes the figures and their plots into a directory.
func (t *table) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	octets, err := json.MarshalIndent(t, "", "\t")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, savedName), append(octets, '\n'), 0o644)
	}
	if err == nil {
		err = t.drawAll(dir, charts)
	}
	return err
}
