// Package client calls the desk API of an installation. It is generated from
// schemas/openapi.yaml and used by the command line, the demo and the tests.
package client

//go:generate oapi-codegen -config client.cfg.yaml ../../../../schemas/openapi.yaml
