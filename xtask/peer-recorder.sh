#!/bin/bash
# peer-recorder.sh start|pids|stop|stats DIR: the recorder as a peer of compare.sh, which has the protocol.
# RECORDER_PROGRAM names the program; events are those of login uid BENCH_AUID, bytes are the whole store.
set -eu
act=$1 d=$2 store=$2/store
: "${RECORDER_PROGRAM:?names no program}"
case $act in
start)
  mkdir -p "$d"
  "$RECORDER_PROGRAM" daemon --store "$store" 2>"$d/daemon.err" &
  pid=$!; echo "$pid" >"$d/daemon.pid"
  for _ in $(seq 1 300); do
    grep -qw recording "$d/daemon.err" && exit 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  cat "$d/daemon.err" >&2; exit 1;;
pids)
  cat "$d/daemon.pid";;
stop)
  pid=$(cat "$d/daemon.pid")
  kill -TERM "$pid"
  for _ in $(seq 1 600); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
  ! kill -0 "$pid" 2>/dev/null || { echo "the daemon did not stop within 30 s" >&2; exit 1; }
  # compare.sh removes DIR for the next round, which append-only files would refuse.
  chattr -R -f -a -i "$store" || :;;
stats)
  query() { "$RECORDER_PROGRAM" query --store "$store" --output jsonl "$@" || [ $? = 1 ]; }
  events=$(query --loginuid "$BENCH_AUID" | wc -l)
  lost=$(query --kind gap | sed -n 's/.*"cause":"\(ring_full\|missing\|undecodable\)".*"count":\([0-9]*\).*/\2/p' | awk '{n += $1} END {print n + 0}')
  bytes=$(cat "$store"/*.zst | wc -c)
  echo "events=$events lost=$lost bytes=$bytes";;
*)
  echo "usage: $0 start|pids|stop|stats DIR" >&2; exit 2;;
esac
