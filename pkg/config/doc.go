// Package config reads a program's settings into its own struct: defaults,
// then a YAML file, then environment variables, each overruling the one
// before. What nobody knows is an error that names the file, the line and the
// key, because a misspelt setting that is silently ignored is found at the
// worst moment.
//
// The struct's fields carry their key as a koanf tag. The variable for the key
// nats.url is TOCSIN_NATS_URL; an empty variable counts as not set.
//
// A field tagged "x_file" beside a field "x" names a file that holds x: a
// secret as text, or a map of strings as YAML. That is how containers hand
// over secrets.
package config
