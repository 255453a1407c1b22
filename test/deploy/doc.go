// Package deploy holds no code of the product: its tests read the compose file, the Dockerfile, the unit of systemd
// and the manifests of Kubernetes as strictly as can be done where nothing runs them.
package deploy
