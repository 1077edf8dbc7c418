package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"trunkline.example/plugins/lineplugin"
)

// The driver in Python passes the same suite: nothing of the contract needs Go.
func TestConformanceInPython(t *testing.T) {
	dir, err := os.MkdirTemp("", "python-driver")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	contract := filepath.Join("..", "lineplugin", "linepb")
	if out, err := exec.Command("protoc", "-I", contract, "--python_out="+dir, "line.proto").CombinedOutput(); err != nil {
		t.Fatalf("protoc (Debian's protobuf-compiler): %v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join("python", "cable.py"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "cable.py")
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("/usr/bin/python3", "-c", "import grpc, google.protobuf").CombinedOutput(); err != nil {
		t.Fatalf("python3 lacks what the driver needs (Debian's python3-grpcio, python3-protobuf): %v\n%s", err, out)
	}
	asProcess(t, lineplugin.Command{Name: "cables", Path: path, Foreign: true})
}
