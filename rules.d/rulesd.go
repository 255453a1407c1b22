// Package rulesd holds the rules and lists that ship with klaxon, embedded.
package rulesd

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml
var rules embed.FS

//go:embed lists/*.txt
var lists embed.FS

// FS is the rule files that ship.
func FS() fs.FS { return rules }

// Lists is the list files that ship, one list a file.
func Lists() fs.FS { return lists }
