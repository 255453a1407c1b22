package varint

import (
	"encoding/binary"
	"testing"
)

func TestReaderReadsWhatWasAppended(t *testing.T) {
	b := binary.AppendUvarint(nil, 300)
	b = binary.AppendVarint(b, -5)
	b = binary.LittleEndian.AppendUint64(b, 7)
	b = AppendText(b, "héllo")
	b = append(binary.AppendUvarint(b, 2), 1, 2)
	r := Reader{B: b}
	if r.Uvarint() != 300 || r.Varint() != -5 || r.Fixed64() != 7 || r.Text() != "héllo" || r.Count(1) != 2 || len(r.B) != 2 || r.Bad {
		t.Errorf("%+v", r)
	}
	for n := range b[:len(b)-2] {
		r := Reader{B: b[:n]}
		r.Uvarint()
		r.Varint()
		r.Fixed64()
		r.Text()
		if r.Count(1); !r.Bad {
			t.Errorf("cut at %d, it was read", n)
		}
	}
	hostile := Reader{B: binary.AppendUvarint(nil, 1<<62)}
	if hostile.Bytes() != nil || !hostile.Bad {
		t.Error("a length beyond the end was believed")
	}
}
