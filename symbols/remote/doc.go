// Package remote fetches the symbols of kernels from servers: [COS] is the bucket where
// Google publishes those of Container-Optimized OS, [Debuginfod] a debuginfod server. Both
// are sources for package symbols:
//
//	opts := &symbols.Options{
//		Store:      store,
//		Converters: []symbols.Converter{vmlinux.Converter},
//		Fetch:      []symbols.Source{&remote.COS{}, &remote.Debuginfod{URLs: remote.DebuginfodURLs()}},
//	}
//
// Nothing is fetched unless a program asks for it so: whoever runs a server learns from
// the build id which kernel is looked into, and when.
//
// # How files are fetched
//
// A vmlinux has hundreds of megabytes. Where the server gives ranges of a file, some
// hundred bytes of it are read first, and a file of another kernel is refused by its
// build id. A transfer that breaks off is taken up where it was, as long as the file has
// the same ETag; one that stands still is given up after Client.Patience, and redirects are
// followed but from https to http. Files may be compressed. Where a server has the MD5
// of a file beside it, it must be right: it tells of damage, not of forgery, which https
// and the checks of package symbols are for.
//
// # Not supported
//
// Signatures of the files; proxies other than those of the environment
// (http.ProxyFromEnvironment).
package remote
