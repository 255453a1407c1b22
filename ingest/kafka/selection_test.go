package kafka

import "testing"

func TestSelection(t *testing.T) {
	t.Parallel()
	s := Select("audit", "logs.*", "app.?", "__named", "audit").Except("logs.debug.*", "klaxon.hits", "logs.hits").Except("*.tmp", "audit")
	for name, want := range map[string]bool{
		"audit": true, "audits": false, "logs.": true, "logs.app": true, "logs.app.debug": true, "app.a": true, "app.ab": false, "__named": true,
		"logs": false, "logs.debug.x": false, "logs.hits": false, "logs.x.tmp": false, "klaxon.hits": false, "": false,
	} {
		if s.Has(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
	if got := s.String(); got != "__named, audit, logs.*, app.?" {
		t.Errorf("written as %q", got)
	}
}

func TestSelectionOfEverythingLeavesInternalTopicsOut(t *testing.T) {
	t.Parallel()
	s := Select("*").Except("klaxon.hits")
	for name, want := range map[string]bool{"a": true, "_a": true, "__consumer_offsets": false, "__": false, "klaxon.hits": false, "klaxon.hits.2": true} {
		if s.Has(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestSelectionOfNothing(t *testing.T) {
	t.Parallel()
	if s := Select(); !s.empty() || s.Has("a") || s.Has("") {
		t.Error("selects something")
	}
}

func TestExceptChangesNoOtherSelection(t *testing.T) {
	t.Parallel()
	all := Select("*").Except("a")
	first, second := all.Except("b"), all.Except("c")
	if first.Has("b") || !first.Has("c") || second.Has("c") || !second.Has("b") || !all.Has("b") {
		t.Error("selections share what they leave out")
	}
}
