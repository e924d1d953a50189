// Package deploy prints what has a cluster run units of work of package fleet: manifests for kubectl apply, which speak for themselves and can be edited.
//
// [Indexed] is an Indexed Job of Kubernetes for images on a volume: a pod an image, whose index is that of the manifest. [Live] is a Job for each node, in which the node's own
// memory is analysed where it is, and only the report leaves.
//
// Not supported: applying them, and other ways to get results out of a pod than a volume.
package deploy
