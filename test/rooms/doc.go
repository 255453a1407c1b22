// Package rooms holds no code of the product: its tests hold the product to its map. Which room may import which is a table
// (table_test.go), and an arrow that is not in the table fails with its name.
package rooms
