//go:build unix && !linux

package realtest

import "syscall"

// ownGroup makes a child the head of a process group. Without Linux's parent-death signal it outlives a test that was killed.
func ownGroup(user int) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if user >= 0 {
		attr.Credential = &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}
	}
	return attr
}
