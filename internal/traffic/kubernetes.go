package traffic

import (
	"strconv"
	"time"
)

// clusterCall is a request to the API of a cluster, as its audit log tells of it.
type clusterCall struct {
	who, ip, verb, path              string
	resource, subresource, namespace string
	name                             string
	status                           int
	object                           string // JSON, or ""
}

// What goes on in a cluster by itself, and what people do there all day. An empty who is an administrator, an empty address an office's.
var clusterCalls = [...]clusterCall{
	{who: "system:kube-controller-manager", ip: "10.0.0.2", verb: "update", resource: "leases", namespace: "kube-system", name: "kube-controller-manager", status: 200},
	{who: "system:node:ip-10-0-3-17", ip: "10.0.3.17", verb: "create", resource: "serviceaccounts", subresource: "token", namespace: "shop", name: "web", status: 201},
	{who: "system:serviceaccount:cert-manager:cert-manager", ip: "10.0.3.40", verb: "list", resource: "secrets", status: 200},
	{who: "system:serviceaccount:kube-system:replicaset-controller", ip: "10.0.0.2", verb: "create", resource: "pods", namespace: "shop", name: "web-7f3c1", status: 201, object: `{"spec":{"containers":[{"name":"web","securityContext":{"privileged":false}}]}}`},
	{who: "system:serviceaccount:shop:web", ip: "10.0.3.41", verb: "get", resource: "configmaps", namespace: "billing", name: "rates", status: 403},
	{who: "system:anonymous", ip: "10.0.0.9", verb: "get", path: "/healthz", status: 200},
	{verb: "list", resource: "pods", namespace: "shop", status: 200},
	{verb: "get", resource: "pods", subresource: "log", namespace: "kube-system", name: "coredns-5d78", status: 200},
	{verb: "create", resource: "pods", subresource: "exec", namespace: "shop", name: "web-7f3c1", status: 101},
	{verb: "patch", resource: "deployments", namespace: "shop", name: "web", status: 200, object: `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"web:1.42"}]}}}}`},
	{verb: "get", resource: "secrets", namespace: "shop", name: "tls", status: 403},
	{verb: "create", resource: "rolebindings", namespace: "shop", name: "readers", status: 201, object: `{"subjects":[{"kind":"Group","name":"support"}],"roleRef":{"name":"view"}}`},
}

// cluster is a quiet moment of a cluster. People come less often than programs.
func (g *Generator) cluster(t *tenant, at int64) Message {
	c := clusterCalls[min(g.rng.IntN(len(clusterCalls)), g.rng.IntN(len(clusterCalls)))]
	if c.who == "" {
		c.who, c.ip = g.admin(t).login, t.offices[g.rng.IntN(2)]
	}
	return g.kubernetes(t, &c, at)
}

// kubernetes is a message of a cluster's audit log.
func (g *Generator) kubernetes(t *tenant, c *clusterCall, at int64) Message {
	then := g.opts.Start.Add(time.Duration(at) - time.Duration(g.rng.IntN(100))*time.Millisecond).UTC()
	b := make([]byte, 0, 900)
	b = append(b, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"`...)
	b = g.appendUUID(b)
	b = append(b, `","stage":"ResponseComplete"`...)
	path := c.path
	if path == "" {
		path = "/api/v1/namespaces/" + c.namespace + "/" + c.resource + "/" + c.name
	}
	b = appendField(b, "requestURI", path)
	b = appendField(b, "verb", c.verb)
	b = append(b, `,"user":{"username":`...)
	b = appendJSON(b, c.who)
	b = append(b, `,"groups":["system:authenticated"]},"sourceIPs":[`...)
	b = appendJSON(b, c.ip)
	b = append(b, ']')
	b = appendField(b, "userAgent", "kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9")
	if c.resource != "" {
		b = append(b, `,"objectRef":{"apiVersion":"v1"`...)
		for _, f := range [...][2]string{{"resource", c.resource}, {"namespace", c.namespace}, {"name", c.name}, {"subresource", c.subresource}} {
			if f[1] != "" {
				b = appendField(b, f[0], f[1])
			}
		}
		b = append(b, '}')
	}
	b = append(b, `,"responseStatus":{"metadata":{},"code":`...)
	b = strconv.AppendInt(b, int64(c.status), 10)
	b = append(b, '}')
	if c.object != "" {
		b = appendRaw(b, "requestObject", c.object)
	}
	b = append(b, `,"requestReceivedTimestamp":"`...)
	b = then.AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, `","stageTimestamp":"`...)
	b = then.AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, `"}`...)
	return g.message(t, TopicKubernetes, t.accountKey, b, at)
}

// takeCluster is a stolen session that reads all secrets of a cluster and then gives itself everything.
func takeCluster(g *Generator, t *tenant) script {
	who, ip := g.admin(t).login, g.hostile()
	do := func(c clusterCall) func(int64) Message {
		c.who, c.ip = who, ip
		return func(at int64) Message { return g.kubernetes(t, &c, at) }
	}
	return script{Attack: Attack{Name: "a cluster taken over", Rule: "kubernetes-cluster-admin-granted", Also: []string{"kubernetes-secrets-listed"}, Key: map[string]string{"user.name": who}},
		takes: 4 * time.Second, steps: []func(int64) Message{
			do(clusterCall{verb: "list", path: "/api/v1/secrets?limit=500", resource: "secrets", status: 200}),
			do(clusterCall{verb: "create", resource: "clusterrolebindings", name: "metrics-reader", status: 201, object: `{"subjects":[{"kind":"User","name":"metrics"}],"roleRef":{"name":"cluster-admin"}}`}),
		}}
}
