#!/bin/sh
# The application of the scenarios as a shell script: the start line of app.c, then waits for SIGTERM.  app.sh RUNLOG [--file F]
quote() { sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' | awk '{ printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }'; }
variables=$(env | grep '^[A-Za-z_][A-Za-z0-9_]*=' | quote | sed -e 's/\\n/\n/g' | sed -e 's/^\([^=]*\)=\(.*\)$/"\1":"\2"/' | paste -sd, -)
files=
[ "$2" != --file ] || files="\"$3\":\"$(quote <"$3")\\n\""
trap 'exit 0' TERM INT
printf '{"event":"start","pid":%d,"time":%s,"argv":[],"env":{%s},"files":{%s}}\n' $$ "$(date +%s.%N)" "$variables" "$files" >>"$1"
while :; do sleep 0.1; done
