package incidents

import (
	"context"
	"fmt"
)

// Lease says which process does what only one may do at a time. It knows no clock, for those of two machines differ: whoever holds it
// renews it, and whoever wants it takes it once it has seen the same turn for as long as the lease lasts by its own clock. The holder
// may rely on it for less than that, counted from before it asked.
type Lease struct {
	Owner string // "" when nobody holds it
	Turn  int64  // grows whenever the lease is taken, renewed or let go
}

// Lease returns a lease as it is now.
func (b *Book) Lease(ctx context.Context, name string) (l Lease, err error) {
	err = b.store.View(ctx, func(v View) error {
		l, err = v.Lease(name)
		return err
	})
	if err != nil {
		return Lease{}, fmt.Errorf("cannot read the lease %s: %w", name, err)
	}
	return l, nil
}

// Take makes owner the holder of a lease, or renews what it holds, if the lease is still as it was seen; it answers what it is then,
// and whether it was still so. An owner of "" lets it go.
func (b *Book) Take(ctx context.Context, name, owner string, seen Lease) (Lease, bool, error) {
	next, ok := Lease{Owner: owner, Turn: seen.Turn + 1}, false
	err := b.store.Update(ctx, func(tx Tx) (err error) {
		ok, err = tx.PutLease(name, next, seen.Turn)
		return err
	})
	if err != nil {
		return seen, false, fmt.Errorf("cannot write the lease %s: %w", name, err)
	}
	if !ok {
		return seen, false, nil
	}
	return next, true, nil
}
