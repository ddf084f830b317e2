// Package register is the localhost API that register software calls: routes, access, idempotency, events, and the
// use cases that join the floors below, such as "print this sale".
//
// Standards: RFC 9457 (problems), OpenAPI 3.1, Fetch (CORS), the HTML standard's section 9.2 (server-sent events),
// Prometheus text.
//
// It is called by cmd. It imports offline, payments and devices, never a driver, never offline/sqlite,
// offline/cloud, offline/signin or a simulator: what it needs of them stands in deps.go.
package register
