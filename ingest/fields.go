package ingest

import (
	"strings"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/datasets"
)

// ids is the fields that the normaliser sets or reads, and the lists behind related.*.
type ids struct {
	message, errorMessage, base64, claimed, repeated, keep event.FieldID
	hostname, hostName, processName, processPID            event.FieldID
	priority, facility, severity, severityName, version    event.FieldID
	appname, procid, msgid, structured                     event.FieldID
	sourceIP, clientIP, databases                          event.FieldID
	forwarded, relatedIP, relatedUser, relatedHosts        event.FieldID

	ends                    []end
	addresses, users, hosts []event.FieldID
}

// end is an address of an event, and what can be found out about it.
type end struct {
	ip                                                      event.FieldID
	country, countryName, continent, region, regionName     event.FieldID
	city, location, timeZone, system, organization, network event.FieldID
}

func newEnds(s *event.Schema) []end {
	var out []end
	for _, name := range datasets.Ends() {
		geo := func(field string) event.FieldID { return s.ID(name + ".geo." + field) }
		out = append(out, end{ip: s.ID(name + ".ip"), country: geo("country_iso_code"), countryName: geo("country_name"), continent: geo("continent_code"),
			region: geo("region_iso_code"), regionName: geo("region_name"), city: geo("city_name"), location: geo("location"), timeZone: geo("timezone"),
			system: s.ID(name + ".as.number"), organization: s.ID(name + ".as.organization.name"), network: s.ID(datasets.NetworkField(name))})
	}
	return out
}

func newIDs(s *event.Schema) ids {
	x := ids{
		message: s.ID("message"), errorMessage: s.ID("error.message"), base64: s.ID(datasets.FieldBase64), claimed: s.ID(datasets.FieldClaimed),
		repeated: s.ID(datasets.FieldRepeated), keep: s.ID(datasets.FieldKeep), hostname: s.ID("host.hostname"), hostName: s.ID("host.name"),
		processName: s.ID("process.name"), processPID: s.ID("process.pid"), priority: s.ID("log.syslog.priority"),
		facility: s.ID("log.syslog.facility.code"), severity: s.ID("log.syslog.severity.code"), severityName: s.ID("log.syslog.severity.name"),
		version: s.ID("log.syslog.version"), appname: s.ID("log.syslog.appname"), procid: s.ID("log.syslog.procid"), msgid: s.ID("log.syslog.msgid"), structured: s.ID("log.syslog.structured_data"),
		sourceIP: s.ID("source.ip"), clientIP: s.ID("client.ip"),
		ends: newEnds(s), databases: s.ID(datasets.FieldDatabases), forwarded: s.ID("network.forwarded_ip"), relatedIP: s.ID("related.ip"),
		relatedUser: s.ID("related.user"), relatedHosts: s.ID("related.hosts"),
	}
	for _, f := range s.Fields() {
		id := s.ID(f.Name)
		switch {
		case strings.HasPrefix(f.Name, "related.") || strings.HasPrefix(f.Name, "$") || strings.HasPrefix(f.Name, "threat.") || strings.HasPrefix(f.Name, "klaxon."):
		case f.Type == event.IP:
			x.addresses = append(x.addresses, id)
		case f.Type != event.Keyword:
		case f.Name == "user.name": // first in related.user
			x.users = append([]event.FieldID{id}, x.users...)
		case isUser(f.Name):
			x.users = append(x.users, id)
		case isHost(f.Name):
			x.hosts = append(x.hosts, id)
		}
	}
	return x
}

// isUser says whether a field names a person or an account.
func isUser(name string) bool {
	return strings.HasPrefix(name, "user.") && (strings.HasSuffix(name, ".name") || strings.HasSuffix(name, ".email")) &&
		!strings.Contains(name, "group") && !strings.Contains(name, "risk") || strings.HasSuffix(name, ".user.name")
}

// isHost says whether a field names a machine.
func isHost(name string) bool {
	switch name {
	case "host.name", "host.hostname", "observer.hostname", "observer.name", "source.domain", "destination.domain", "client.domain", "server.domain", "url.domain":
		return true
	}
	return false
}
