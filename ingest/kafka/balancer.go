package kafka

import (
	"cmp"
	"slices"

	kafkago "github.com/segmentio/kafka-go"
)

// balancer deals the partitions of all topics to members in turn, so that many small topics spread as well as one large one.
//
// It takes the number of partitions from the shapes that were read before joining, not from what kafka-go reads afterwards: a topic
// that changes in between would be assigned in part, and nobody would notice.
type balancer struct{ shapes map[string]Shape }

// ProtocolName implements kafkago.GroupBalancer.
func (balancer) ProtocolName() string { return "roundrobin" }

// UserData implements kafkago.GroupBalancer.
func (balancer) UserData() ([]byte, error) { return nil, nil }

// AssignGroups implements kafkago.GroupBalancer.
func (b balancer) AssignGroups(members []kafkago.GroupMember, read []kafkago.Partition) kafkago.GroupMemberAssignments {
	members = slices.Clone(members)
	slices.SortFunc(members, func(x, y kafkago.GroupMember) int { return cmp.Compare(x.ID, y.ID) })
	out := kafkago.GroupMemberAssignments{}
	for _, m := range members {
		out[m.ID] = map[string][]int{}
	}
	turn := 0
	for _, p := range b.partitions(members, read) {
		for tried := range members {
			m := members[(turn+tried)%len(members)]
			if slices.Contains(m.Topics, p.topic) {
				out[m.ID][p.topic] = append(out[m.ID][p.topic], int(p.partition))
				turn += tried + 1
				break
			}
		}
	}
	return out
}

// partitions returns all partitions of the members' topics, sorted.
func (b balancer) partitions(members []kafkago.GroupMember, read []kafkago.Partition) []partitionKey {
	var topics []string
	for _, m := range members {
		topics = append(topics, m.Topics...)
	}
	slices.Sort(topics)
	var out []partitionKey
	for _, topic := range slices.Compact(topics) {
		if s, ok := b.shapes[topic]; ok {
			for p := range s.Partitions {
				out = append(out, partitionKey{topic, p})
			}
			continue
		}
		for _, p := range read { // only other members know it
			if p.Topic == topic {
				out = append(out, partitionKey{topic, int32(p.ID)})
			}
		}
	}
	slices.SortFunc(out, func(x, y partitionKey) int {
		return cmp.Or(cmp.Compare(x.topic, y.topic), cmp.Compare(x.partition, y.partition))
	})
	return slices.Compact(out)
}
