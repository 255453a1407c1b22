//go:build unix

package bench

import (
	"syscall"
	"time"
)

// cpuTime is how long this process has kept a core busy, its collector of garbage included. Where a machine is shared, it says more
// than a clock does.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
