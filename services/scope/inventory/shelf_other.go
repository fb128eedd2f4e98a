//go:build !linux

package inventory

const directIO = 0
