package inventory

import "syscall"

const directIO = syscall.O_DIRECT
