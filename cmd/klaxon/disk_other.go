//go:build !linux && !darwin && !freebsd

package main

import "errors"

func diskSpace(string) (free, size int64, err error) {
	return 0, 0, errors.ErrUnsupported
}

func openFiles() (uint64, bool) { return 0, false }
