package main

import (
	"fmt"
	"strconv"

	"github.com/alecthomas/kong"
)

// limit is how many to print at most; 0 is all.
type limit int

// Decode reads the flag's value, a negative one too, so that the error says what is wrong with it.
func (l *limit) Decode(ctx *kong.DecodeContext) error {
	value := fmt.Sprint(ctx.Scan.Pop().Value)
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no number of lines: write how many to print at most, or 0 for all", value)
	}
	*l = limit(n)
	return nil
}

// rows is the limit as the store takes it, whose 0 is a default.
func (l limit) rows() int {
	if l == 0 {
		return 10_000 // the most that a store gives
	}
	return int(l)
}
