package rules

import (
	"slices"
	"testing"
)

func TestFieldsOfARule(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"condition and key": {`
where: event.action == "x" and user.name != "y" and any(json.items, .port == 22)
count: {by: ['subnet(source.ip, 24, 64)', user.name], within: 1m, at_least: 2}
alert: {title: t}`, []string{"event.action", "json.items", "source.ip", "user.name"}},
		"what makes an incident is not asked for": {`
where: event.action == "x"
alert: {title: t, incident_by: [user.name]}`, []string{"event.action"}},
	} {
		t.Run(name, func(t *testing.T) {
			set := mustLoad(t, "id: r\ntitle: t\nsource: {dataset: [d]}\nseverity: high"+test.text)
			if got := set.Rules()[0].Fields(); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
