//go:build tools

package peers

import _ "github.com/hashicorp/consul-template" // built as a program, by build
