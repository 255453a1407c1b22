package kafka

import (
	"fmt"
	"slices"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
	"pgregory.net/rapid"
)

// Every partition goes to exactly one member that reads its topic, and members that read the same topics get as many, give or take
// one.
func TestBalancerDealsEvenly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shapes := map[string]Shape{}
		var topics []string
		for i := range rapid.IntRange(1, 6).Draw(t, "topics") {
			name := fmt.Sprintf("t%d", i)
			topics = append(topics, name)
			shapes[name] = Shape{Partitions: rapid.Int32Range(1, 9).Draw(t, "partitions")}
		}
		alike := rapid.Bool().Draw(t, "alike")
		var members []kafkago.GroupMember
		for i := range rapid.IntRange(1, 5).Draw(t, "members") {
			m := kafkago.GroupMember{ID: fmt.Sprintf("m%d", i), Topics: topics}
			if !alike {
				m.Topics = rapid.SliceOfNDistinct(rapid.SampledFrom(topics), 1, len(topics), rapid.ID[string]).Draw(t, "of member")
			}
			members = append(members, m)
		}
		owners := map[partitionKey]string{}
		count := map[string]int{}
		for member, assigned := range (balancer{shapes}).AssignGroups(members, nil) {
			for topic, partitions := range assigned {
				i := slices.IndexFunc(members, func(m kafkago.GroupMember) bool { return m.ID == member })
				if !slices.Contains(members[i].Topics, topic) {
					t.Errorf("%s does not read %s", member, topic)
				}
				for _, p := range partitions {
					key := partitionKey{topic, int32(p)}
					if owners[key] != "" {
						t.Errorf("%v is given to %s and %s", key, owners[key], member)
					}
					owners[key] = member
					count[member]++
				}
			}
		}
		want := 0
		for topic, s := range shapes {
			if slices.ContainsFunc(members, func(m kafkago.GroupMember) bool { return slices.Contains(m.Topics, topic) }) {
				want += int(s.Partitions)
			}
		}
		if len(owners) != want {
			t.Errorf("%d partitions are given away, want %d", len(owners), want)
		}
		if alike {
			for _, m := range members {
				if n := count[m.ID]; n < want/len(members) || n > (want+len(members)-1)/len(members) {
					t.Errorf("%s has %d of %d partitions", m.ID, n, want)
				}
			}
		}
	})
}

// The assignment does not depend on the order in which the coordinator lists members.
func TestBalancerIsDeterministic(t *testing.T) {
	b := balancer{map[string]Shape{"a": {Partitions: 3}, "b": {Partitions: 4}}}
	members := []kafkago.GroupMember{{ID: "x", Topics: []string{"a", "b"}}, {ID: "y", Topics: []string{"b", "a"}}, {ID: "z", Topics: []string{"b"}}}
	first := fmt.Sprint(b.AssignGroups(members, nil))
	slices.Reverse(members)
	if again := fmt.Sprint(b.AssignGroups(members, nil)); again != first {
		t.Errorf("%s, then %s", first, again)
	}
}

// Shapes that were read before joining win over what was read after; topics of other members count as they were read.
func TestBalancerUsesTheShapesOfBeforeJoining(t *testing.T) {
	b := balancer{map[string]Shape{"known": {Partitions: 2}}}
	read := []kafkago.Partition{{Topic: "known", ID: 0}, {Topic: "known", ID: 1}, {Topic: "known", ID: 2}, {Topic: "theirs", ID: 0}, {Topic: "nobodys", ID: 0}}
	members := []kafkago.GroupMember{{ID: "x", Topics: []string{"known"}}, {ID: "y", Topics: []string{"theirs"}}}
	got := b.AssignGroups(members, read)
	if fmt.Sprint(got) != "map[x:map[known:[0 1]] y:map[theirs:[0]]]" {
		t.Errorf("%v", got)
	}
}
