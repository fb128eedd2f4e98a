// Package api is the HTTP contract of the desk in Go, generated from
// schemas/openapi.yaml: the types, and the strict server that package desk
// implements. Edit the contract, then run go generate.
package api

//go:generate oapi-codegen -config server.cfg.yaml ../../../schemas/openapi.yaml
