// Package deploy holds no code of the product: its tests read the compose file and the Dockerfile as strictly as can be done
// where no engine runs them.
package deploy
