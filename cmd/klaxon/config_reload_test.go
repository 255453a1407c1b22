package main

import (
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/internal/diag"
)

func TestReloadConfig(t *testing.T) {
	for text, want := range map[string]ReloadConfig{
		"":                                 {Every: 10 * time.Second, Wait: 30 * time.Second},
		"reload: {every: never}\n":         {Wait: 30 * time.Second},
		"reload: {every: 1m, wait: 90s}\n": {Every: time.Minute, Wait: 90 * time.Second},
	} {
		var list diag.List
		c := parseConfig("klaxon.yaml", []byte(smallConfig+text), noEnv, &list)
		if err := list.Err(); err != nil || c.Reload != want {
			t.Errorf("%q: %+v, %v", text, c.Reload, err)
		}
	}
	for text, want := range map[string]string{
		"reload: {every: 100ms}\n":  ":4:17: reload.every: must be at least 1s, not 100ms",
		"reload: {every: always}\n": ":4:17: reload.every: must be a duration",
		"reload: {wait: 0s}\n":      ":4:16: reload.wait: must be longer than nothing",
		"reload: {evry: 1s}\n":      "reload.evry",
	} {
		var list diag.List
		parseConfig("klaxon.yaml", []byte(smallConfig+text), noEnv, &list)
		if !strings.Contains(list.String(), want) {
			t.Errorf("%q is not reported in\n%s", want, list)
		}
	}
}
