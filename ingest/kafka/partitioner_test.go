package kafka

import (
	"testing"

	"pgregory.net/rapid"
)

// The values are those of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
func TestMurmur2IsJavas(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
}

func TestPartitionOfIsAPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int32Range(1, 1<<20).Draw(t, "partitions")
		if p := PartitionOf(rapid.SliceOf(rapid.Byte()).Draw(t, "key"), n); p < 0 || p >= n {
			t.Errorf("partition %d of %d", p, n)
		}
	})
}
