//go:build linux || darwin || freebsd

package main

import "syscall"

// diskSpace is how many bytes an ordinary user may still write below a path, and the size of its file system.
func diskSpace(path string) (free, size int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	block := int64(s.Bsize) //nolint:unconvert // its type differs by system
	return int64(s.Bavail) * block, int64(s.Blocks) * block, nil
}

// openFiles is how many files the process may have open.
func openFiles() (uint64, bool) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, false
	}
	return uint64(r.Cur), true //nolint:unconvert // its type differs by system
}
