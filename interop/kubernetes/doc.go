// Package kubernetes holds the manifests that nodelens prints against the types of Kubernetes. It is a module of its own for their sake.
package kubernetes
