#!/bin/sh
# Leaves a trace of its call, and of what the container is to be, and calls runc.
echo "$0 $*" >>/run/replay/calls
bundle=
last=
for word; do
  shift
  [ "$last" = --bundle ] && bundle=$word
  last=$word
  # There may be no systemd to ask.
  [ "$word" = --systemd-cgroup ] || set -- "$@" "$word"
done
if [ -n "$bundle" ]; then
  cp "$bundle/config.json" "/run/replay/$last.json"
  # The machine's cgroup may have no such controller to hand on.
  sed -i 's/"cpu":{[^{}]*}/"cpu":{}/' "$bundle/config.json"
  # A machine without CAP_SYS_RESOURCE lets nobody lower it.
  [ -e /run/replay/keep-oom-score ] || sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$bundle/config.json"
fi
exec RUNC "$@"
