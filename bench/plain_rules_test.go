package bench

import (
	"bufio"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// condition is a shipped rule's condition in the language of stock expr, over a document of maps.
type condition struct {
	rule, dataset, where string
	lists                fs.FS
}

// conditions are those of all shipped rules.
func conditions(lists fs.FS) []condition {
	const (
		web    = "nginx.access"
		auth   = "system.auth"
		trail  = "aws.cloudtrail"
		audit  = "app.audit"
		failed = `event.action == "ssh_login" && event.outcome == "failure"`
		signed = `event.action in ["user.sign_in", "sign_in", "login", "user.login"]`
		peer   = `(source?.geo?.country_iso_code in $embargoed or source?.geo?.region_iso_code in $embargoed-regions)`
		abroad = `(` + peer + ` or client?.geo?.country_iso_code in $embargoed or client?.geo?.region_iso_code in $embargoed-regions)`
	)
	out := []condition{
		{rule: "app-mfa-disabled", dataset: audit, where: `event.action in ["user.mfa_disabled", "mfa_disabled", "user.mfa.disable", "workspace.mfa_requirement_disabled"] and event.outcome == "success"`},
		{rule: "app-mass-export", dataset: audit, where: `event.action in ["data.export", "export", "report.export", "contacts.export"] and event.outcome == "success"`},
		{rule: "app-admin-granted", dataset: audit, where: `event.action in ["role.granted", "user.role.grant", "role.grant"] and event.outcome == "success" and app.audit?.details?.role in ["admin", "owner"]`},
		{rule: "app-sign-in-failures", dataset: audit, where: signed + ` and event.outcome == "failure"`},
		{rule: "app-embargoed-sign-in", dataset: audit, where: signed + ` and event.outcome == "success" and ` + abroad},
		{rule: "cloudtrail-root-use", dataset: trail, where: `aws.cloudtrail.userIdentity?.type == "Root" and event.outcome == "success" and aws.cloudtrail.userIdentity?.invokedBy == nil and aws.cloudtrail?.eventType != nil and aws.cloudtrail.eventType != "AwsServiceEvent"`},
		{rule: "cloudtrail-logging-disabled", dataset: trail, where: `event.provider == "cloudtrail.amazonaws.com" and event.outcome == "success" and (event.action in ["StopLogging", "DeleteTrail", "StopEventDataStoreIngestion", "DeleteEventDataStore"] or event.action == "UpdateTrail" and (aws.cloudtrail?.requestParameters?.isMultiRegionTrail == false or aws.cloudtrail?.requestParameters?.includeGlobalServiceEvents == false or aws.cloudtrail?.requestParameters?.enableLogFileValidation == false))`},
		{rule: "cloudtrail-admin-policy-attached", dataset: trail, where: `event.provider == "iam.amazonaws.com" and event.outcome == "success" and (event.action in ["AttachUserPolicy", "AttachRolePolicy", "AttachGroupPolicy"] and aws.cloudtrail?.requestParameters?.policyArn in $admin-policies or event.action in ["PutUserPolicy", "PutRolePolicy", "PutGroupPolicy", "CreatePolicy", "CreatePolicyVersion"] and aws.cloudtrail.requestParameters?.policyDocument matches "\"Effect\"\\s*:\\s*\"Allow\"" and aws.cloudtrail.requestParameters?.policyDocument matches "\"Action\"\\s*:\\s*\\[?\\s*\"\\*(:\\*)?\"" and aws.cloudtrail.requestParameters?.policyDocument matches "\"Resource\"\\s*:\\s*\\[?\\s*\"\\*\"")`},
		{rule: "cloudtrail-console-login-without-mfa", dataset: trail, where: `event.action == "ConsoleLogin" and event.outcome == "success" and aws.cloudtrail.userIdentity?.type in ["IAMUser", "Root"] and aws.cloudtrail.additionalEventData?.MFAUsed == "No"`},
		{rule: "cloudtrail-access-key-for-another-user", dataset: trail, where: `event.action == "CreateAccessKey" and event.outcome == "success" and user?.target?.name != nil and user?.name != nil and user?.target?.name != user?.name`},
		{rule: "cloudtrail-security-group-opened", dataset: trail, where: `event.action == "AuthorizeSecurityGroupIngress" and event.outcome == "success" and (any(aws.cloudtrail?.requestParameters?.ipPermissions?.items ?? [], (any(.ipRanges?.items ?? [], .cidrIp == "0.0.0.0/0") or any(.ipv6Ranges?.items ?? [], .cidrIpv6 == "::/0")) and (.ipProtocol == "-1" or .fromPort <= 22 and .toPort >= 22 or .fromPort <= 3389 and .toPort >= 3389 or .fromPort <= 3306 and .toPort >= 3306 or .fromPort <= 5432 and .toPort >= 5432 or .fromPort <= 6379 and .toPort >= 6379 or .fromPort <= 9200 and .toPort >= 9200)) or aws.cloudtrail?.requestParameters?.cidrIp == "0.0.0.0/0" and aws.cloudtrail.requestParameters?.fromPort in [22, 3389, 3306, 5432, 6379, 9200])`},
		{rule: "cloudtrail-kms-key-deletion", dataset: trail, where: `event.provider == "kms.amazonaws.com" and event.action in ["ScheduleKeyDeletion", "DisableKey", "DeleteImportedKeyMaterial"] and event.outcome == "success"`},
		{rule: "cloudtrail-embargoed-console-login", dataset: trail, where: `event.action == "ConsoleLogin" and event.outcome == "success" and ` + peer},
		{rule: "ssh-bruteforce", dataset: auth, where: failed},
		{rule: "ssh-account-guessing", dataset: auth, where: failed},
		{rule: "ssh-root-password-login", dataset: auth, where: `event?.action == "ssh_login" and event?.outcome == "success" and user?.name == "root" and system?.auth?.ssh?.method == "password"`},
		{rule: "ssh-embargoed-login", dataset: auth, where: `event?.action == "ssh_login" and event?.outcome == "success" and ` + peer},
		{rule: "web-request-flood", dataset: web, where: `source?.ip != nil and not private(source?.ip)`},
		{rule: "web-request-flood-behind-proxy", dataset: web, where: `source?.ip != nil and client?.ip != nil and private(source?.ip) and not private(client?.ip)`},
		{rule: "web-scanner", dataset: web, where: `http?.response?.status_code == 404 and source?.ip != nil and not private(source?.ip)`},
		{rule: "web-path-probing", dataset: web, where: `source?.ip != nil and url?.original != nil and (
			url.original matches "(?i)(^|/)\\.(env|git|aws|ssh|svn|htpasswd|DS_Store)($|[/?.])"
			or url.original matches "(?i)(\\.\\.|%2e%2e)(/|%2f|\\\\|%5c).*(etc(/|%2f)(passwd|shadow)|win\\.ini|proc(/|%2f)self)"
			or url.original matches "(?i)(^|/)(wp-login\\.php|wp-config\\.php|phpmyadmin/|phpinfo\\.php|id_rsa|backup\\.(zip|sql|tar\\.gz)|server-status)($|[?])")`},
		{rule: "web-secret-served", dataset: web, where: `http?.response?.status_code == 200 and http.response.body.bytes > 0 and (
			url?.path matches "(?i)(^|/)\\.(env|aws/credentials|ssh/id_[a-z0-9]+|git/config|htpasswd)$" or url?.original matches "(?i)(\\.\\.|%2e%2e)(/|%2f|\\\\|%5c).*etc(/|%2f)(passwd|shadow)")`},
		{rule: "web-embargoed-sign-in", dataset: web, where: `http?.request?.method == "POST" and url?.path in ["/login", "/signin", "/sign-in", "/session", "/api/v2/login"] and http.response.status_code >= 200 and http.response.status_code <= 399 and ` + abroad},
	}
	for i := range out {
		out[i].lists = lists
	}
	return out
}

// compile puts lists in as constants: stock expr makes sets of them.
func (c condition) compile() (*vm.Program, error) {
	where := c.where
	for _, name := range []string{"embargoed-regions", "embargoed", "admin-policies"} {
		if !strings.Contains(where, "$"+name) {
			continue
		}
		var quoted []string
		items, err := listed(c.lists, name)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			quoted = append(quoted, strconv.Quote(item))
		}
		where = strings.ReplaceAll(where, "$"+name, "["+strings.Join(quoted, ", ")+"]")
	}
	items, err := listed(c.lists, "private")
	if err != nil {
		return nil, err
	}
	var nets []netip.Prefix
	for _, item := range items {
		if p, err := netip.ParsePrefix(item); err == nil {
			nets = append(nets, p)
		}
	}
	private := expr.Function("private", func(args ...any) (any, error) {
		text, _ := args[0].(string)
		a, err := netip.ParseAddr(text)
		if err != nil {
			return false, nil
		}
		for _, n := range nets {
			if n.Contains(a) {
				return true, nil
			}
		}
		return false, nil
	}, new(func(any) bool))
	return expr.Compile(where, expr.Env(map[string]any{}), expr.AllowUndefinedVariables(), expr.AsBool(), private)
}

// listed is the items of a list file.
func listed(lists fs.FS, name string) ([]string, error) {
	f, err := lists.Open("lists/" + name + ".txt")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out, nil
}
