package realtest

import "syscall"

// ownGroup makes a child the head of a process group, which dies with us even when we are killed.
func ownGroup(user int) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if user >= 0 {
		attr.Credential = &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}
	}
	return attr
}
