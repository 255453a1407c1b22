package main

// controls is the ids of the promises of a security programme that rules may name as what they are evidence for.
func controls() []string {
	return []string{"audit-logging", "auto-scaling", "dos-protection", "disaster-recovery", "embargo", "least-privilege", "segmentation", "real-time-detection",
		"anti-abuse", "portability", "retention", "encryption", "tenancy", "permissions", "email-scanning", "change-visibility", "sso-2fa", "passwords",
		"code-review", "on-call", "incident-response", "data-access", "external-reports", "availability", "severity", "triage", "containment",
		"customer-notification", "review", "all-hands", "forensics", "runbooks", "tickets", "chat", "as-code"}
}
