package elasticsearch

import (
	"net/http"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/alert"
)

func revisionOf(id string, n int64) *alert.Alert {
	return &alert.Alert{ID: id, Revision: n, Severity: alert.High, Title: "brute force", Time: noon.UnixMilli(), Rule: alert.Rule{ID: "r"}}
}

// However late and however often revisions come: the latest stays.
func TestPutAlerts(t *testing.T) {
	f := newFake(t)
	f.after = first(3, func(w http.ResponseWriter) bool { return hangUp(t, w) })
	c := f.client(nil)
	for _, batch := range [][]*alert.Alert{{revisionOf("a", 1), revisionOf("a", 3)}, {revisionOf("a", 2), revisionOf("b", 1)}, {revisionOf("a", 3)}, nil} {
		if err := c.PutAlerts(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.docs) != 2 || f.versions["klaxon-alerts/a"] != 3 || !strings.Contains(f.docs["klaxon-alerts/a"], `"revision":3`) {
		t.Errorf("stored %v", f.docs)
	}
	if st := c.Stats(); st.Alerts != 3 || st.Present != 2 || st.Stored != 0 {
		t.Errorf("%+v", st)
	}
}

func TestPutAlertsRejected(t *testing.T) {
	f := newFake(t)
	f.item = func(_ *bulk, a *action) *string {
		if a.id == "bad" {
			return itemError(400, "document_parsing_exception", "no")
		}
		return nil
	}
	err := f.client(nil).PutAlerts(t.Context(), []*alert.Alert{revisionOf("good", 1), revisionOf("bad", 2)})
	if !IsRejected(err) || !strings.Contains(err.Error(), "bad, revision 2: mapping") || len(f.docs) != 1 {
		t.Errorf("%v; stored %v", err, f.docs)
	}
}
