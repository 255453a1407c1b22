package traffic

import "time"

// call is one event of a cloud account. Parameters and response are JSON, or "" for null.
type call struct {
	source, name         string
	identity             identity
	ip                   string
	readOnly             bool
	errorCode            string
	parameters, response string
	additional           string
	kind                 string // of event; "" is an API call
}

// identity is who called: a user, or a role where the session is named.
type identity struct {
	kind, name, session string
}

func user(p *person) identity       { return identity{kind: "IAMUser", name: p.login} }
func role(name, as string) identity { return identity{kind: "AssumedRole", name: name, session: as} }

// What is called all day.
var routineCalls = [...]call{
	{source: "sts.amazonaws.com", name: "GetCallerIdentity", readOnly: true},
	{source: "ec2.amazonaws.com", name: "DescribeInstances", readOnly: true, parameters: `{"filterSet":{},"instancesSet":{}}`},
	{source: "ec2.amazonaws.com", name: "DescribeSecurityGroups", readOnly: true, parameters: `{"filterSet":{},"securityGroupIdSet":{},"securityGroupSet":{}}`},
	{source: "s3.amazonaws.com", name: "ListBuckets", readOnly: true, parameters: `{"Host":"s3.amazonaws.com"}`},
	{source: "s3.amazonaws.com", name: "GetBucketPolicy", readOnly: true, parameters: `{"bucketName":"assets-prod","Host":"s3.amazonaws.com","policy":""}`},
	{source: "logs.amazonaws.com", name: "CreateLogStream", parameters: `{"logGroupName":"/app/prod","logStreamName":"web"}`},
	{source: "kms.amazonaws.com", name: "Decrypt", readOnly: true, parameters: `{"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}`},
	{source: "cloudtrail.amazonaws.com", name: "DescribeTrails", readOnly: true, parameters: `{"trailNameList":[]}`},
	{source: "cloudtrail.amazonaws.com", name: "GetTrailStatus", readOnly: true, parameters: `{"name":"org-trail"}`},
	{source: "iam.amazonaws.com", name: "ListUsers", readOnly: true},
	{source: "autoscaling.amazonaws.com", name: "SetDesiredCapacity", parameters: `{"autoScalingGroupName":"web","desiredCapacity":6}`},
	{source: "dynamodb.amazonaws.com", name: "DescribeTable", readOnly: true, parameters: `{"tableName":"sessions"}`, errorCode: "AccessDenied"},
}

// What administrators do now and then, and what no rule should mind: it looks like what it is not.
var harmlessChanges = [...]call{
	{source: "iam.amazonaws.com", name: "AttachUserPolicy", parameters: `{"policyArn":"arn:aws:iam::aws:policy/ReadOnlyAccess","userName":"reporting"}`},
	{source: "iam.amazonaws.com", name: "AttachRolePolicy", parameters: `{"policyArn":"arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess","roleName":"report-reader"}`},
	{source: "iam.amazonaws.com", name: "DetachUserPolicy", parameters: `{"policyArn":"arn:aws:iam::aws:policy/AdministratorAccess","userName":"former.admin"}`},
	{source: "ec2.amazonaws.com", name: "AuthorizeSecurityGroupIngress", parameters: `{"groupId":"sg-0f1e2d3c","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":443,"toPort":443,"ipRanges":{"items":[{"cidrIp":"0.0.0.0/0"}]}}]}}`},
	{source: "ec2.amazonaws.com", name: "AuthorizeSecurityGroupIngress", parameters: `{"groupId":"sg-0f1e2d3c","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":22,"toPort":22,"ipRanges":{"items":[{"cidrIp":"10.20.0.0/16"}]}}]}}`},
	{source: "ec2.amazonaws.com", name: "RevokeSecurityGroupIngress", parameters: `{"groupId":"sg-0f1e2d3c","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":22,"toPort":22,"ipRanges":{"items":[{"cidrIp":"0.0.0.0/0"}]}}]}}`},
	{source: "cloudtrail.amazonaws.com", name: "StartLogging", parameters: `{"name":"org-trail"}`},
	{source: "kms.amazonaws.com", name: "CancelKeyDeletion", parameters: `{"keyId":"arn:aws:kms:eu-central-1:111122223333:key/7d1a"}`},
	{source: "cloudtrail.amazonaws.com", name: "StopLogging", errorCode: "AccessDenied", parameters: `{"name":"org-trail"}`},
	{source: "s3.amazonaws.com", name: "PutBucketPolicy", parameters: `{"bucketName":"assets-prod","Host":"s3.amazonaws.com"}`},
}

const (
	consoleAgent = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	cliAgent     = "aws-cli/2.31.18 md/awscrt#0.27.6 ua/2.1 os/linux#6.8 lang/python#3.13.7"
)

func consoleLogin(p *person, ip string) call {
	return call{source: "signin.amazonaws.com", name: "ConsoleLogin", kind: "AwsConsoleSignIn", identity: user(p), ip: ip,
		response: `{"ConsoleLogin":"Success"}`, additional: `{"LoginTo":"https://console.aws.amazon.com/console/home","MobileVersion":"No","MFAUsed":"Yes"}`}
}

// cloudtrail is a message with calls: one as such, several as the file that the service writes.
func (g *Generator) cloudtrail(t *tenant, at int64, calls ...call) Message {
	b := make([]byte, 0, 1100*len(calls))
	if len(calls) == 1 {
		b = g.appendCall(b, t, &calls[0], at)
	} else {
		b = append(b, `{"Records":[`...)
		for i := range calls {
			if i > 0 {
				b = append(b, ',')
			}
			b = g.appendCall(b, t, &calls[i], at)
		}
		b = append(b, `]}`...)
	}
	return g.message(t, TopicCloudTrail, t.accountKey, b, at)
}

// routine is the calls of a quiet day: one in eight messages holds several.
func (g *Generator) routine(t *tenant, at int64) Message {
	var calls [6]call
	n := 1
	if g.chance(125) {
		n = 2 + g.rng.IntN(len(calls)-1)
	}
	for i := range calls[:n] {
		c := routineCalls[g.rng.IntN(len(routineCalls))]
		switch g.rng.IntN(3) {
		case 0:
			c.identity, c.ip = user(g.admin(t)), t.offices[g.rng.IntN(2)]
		case 1:
			c.identity, c.ip = role("web-server", "i-0a1b2c3d4e5f"), "10.20.3.17"
		default:
			c.identity, c.ip = role("autoscaler", "AutoScaling"), "autoscaling.amazonaws.com"
		}
		calls[i] = c
	}
	return g.cloudtrail(t, at, calls[:n]...)
}

func (g *Generator) appendCall(b []byte, t *tenant, c *call, at int64) []byte {
	b = append(b, `{"eventVersion":"1.11","userIdentity":`...)
	b = appendIdentity(b, t, &c.identity)
	b = append(b, `,"eventTime":"`...)
	b = g.opts.Start.Add(time.Duration(at)-time.Duration(g.rng.IntN(900))*time.Millisecond).UTC().AppendFormat(b, time.RFC3339)
	b = append(b, '"')
	b = appendField(b, "eventSource", c.source)
	b = appendField(b, "eventName", c.name)
	b = appendField(b, "awsRegion", t.region)
	b = appendField(b, "sourceIPAddress", c.ip)
	agent := cliAgent
	if c.kind != "" {
		agent = consoleAgent
	}
	b = appendField(b, "userAgent", agent)
	if c.errorCode != "" {
		b = appendField(b, "errorCode", c.errorCode)
		b = appendField(b, "errorMessage", "not authorized to perform: "+c.name)
	}
	b = appendRaw(b, "requestParameters", c.parameters)
	b = appendRaw(b, "responseElements", c.response)
	if c.additional != "" {
		b = appendRaw(b, "additionalEventData", c.additional)
	}
	b = append(b, `,"requestID":"`...)
	b = g.appendUUID(b)
	b = append(b, `","eventID":"`...)
	b = g.appendUUID(b)
	b = append(b, `","readOnly":`...)
	if c.readOnly {
		b = append(b, "true"...)
	} else {
		b = append(b, "false"...)
	}
	kind := c.kind
	if kind == "" {
		kind = "AwsApiCall"
	}
	b = appendField(b, "eventType", kind)
	b = append(b, `,"managementEvent":true`...)
	b = appendField(b, "recipientAccountId", t.account)
	return append(b, `,"eventCategory":"Management"}`...)
}

func appendRaw(b []byte, key, value string) []byte {
	if value == "" {
		value = "null"
	}
	b = append(b, `,"`...)
	b = append(b, key...)
	b = append(b, `":`...)
	return append(b, value...)
}

func appendIdentity(b []byte, t *tenant, i *identity) []byte {
	b = append(b, `{"type":"`...)
	b = append(b, i.kind...)
	b = append(b, `","principalId":"AIDA`...)
	b = append(b, i.name...)
	if i.session != "" {
		b = append(b, ':')
		b = append(b, i.session...)
	}
	b = append(b, `","arn":"arn:aws:`...)
	if i.session != "" {
		b = append(b, "sts::"...)
		b = append(b, t.account...)
		b = append(b, ":assumed-role/"...)
		b = append(b, i.name...)
		b = append(b, '/')
		b = append(b, i.session...)
	} else {
		b = append(b, "iam::"...)
		b = append(b, t.account...)
		b = append(b, ":user/"...)
		b = append(b, i.name...)
	}
	b = append(b, '"')
	b = appendField(b, "accountId", t.account)
	b = appendField(b, "accessKeyId", "AKIAIOSFODNN7EXAMPLE")
	if i.session == "" {
		b = appendField(b, "userName", i.name)
		return append(b, '}')
	}
	b = append(b, `,"sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAEXAMPLE"`...)
	b = append(b, `,"arn":"arn:aws:iam::`...)
	b = append(b, t.account...)
	b = append(b, ":role/"...)
	b = append(b, i.name...)
	b = append(b, '"')
	b = appendField(b, "accountId", t.account)
	b = appendField(b, "userName", i.name)
	return append(b, `},"attributes":{"mfaAuthenticated":"false"}}}`...)
}
