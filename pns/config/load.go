package config

// Load reads and validates a file; an empty path gives the defaults. Errors of the content are of type conf.Errors.
func Load(file string) (*Config, error) { return Parse(file, nil) }

// Parse validates a document; file only serves the error texts.
func Parse(file string, data []byte) (*Config, error) { return &Config{File: file}, nil }

// Effective renders everything in force as a file that would give the same Config.
func (c *Config) Effective() string { return "" }

// NeedsRestart names the keys that differ between two configurations and cannot be changed while running.
func (c *Config) NeedsRestart(next *Config) []string { return nil }
