//go:build !unix

package realtest

import (
	"errors"
	"os"
	"syscall"
)

var errNotUnix = errors.New("servers are started on Unix only; give an address instead (KLAXON_TEST_KAFKA, KLAXON_TEST_ELASTICSEARCH, KLAXON_TEST_POSTGRES)")

func ownGroup(int) *syscall.SysProcAttr { return nil }
func killGroup(int) error               { return errNotUnix }
func terminateGroup(int) error          { return errNotUnix }
func alive(int) bool                    { return true }
func tryLock(*os.File) (bool, error)    { return false, errNotUnix }
