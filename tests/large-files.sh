#!/usr/bin/env bash
# A large file to a device (fdo.download) and back (fdo.upload), through the release programs as processes: compared byte
# for byte, with both programs' memory held against a bound that does not depend on the file.
#
#   tests/large-files.sh [MIB]     64 MiB if nothing is said
set -euo pipefail
cd "$(dirname "$0")/.."
size=${1:-64} bound_mib=128
case "$size" in ''|*[!0-9]*|0) echo "say how many MiB, from 1" >&2; exit 2 ;; esac

work=$(mktemp -d "${TMPDIR:-/tmp}/firstlight-large.XXXXXX")
running=()
finish() {
  status=$?
  trap - EXIT INT TERM
  for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${running[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [ "$status" = 0 ]; then rm -rf "$work"; else tail -n 15 "$work"/*.log >&2; echo "the files of this run are in $work" >&2; fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM
fail() { echo "FAILED: $1" >&2; exit 1; }

cargo build --release --quiet -p fdo-manufacturer -p fdo-rendezvous -p fdo-owner -p fdo-device
bin=${CARGO_TARGET_DIR:-target}/release
free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
base=17000
until free $base && free $((base + 1)) && free $((base + 2)) && free $((base + 3)) && free $((base + 4)) \
  && free $((base + 5)) && free $((base + 6)); do base=$((base + 10)); [ $base -lt 30000 ] || fail "no free ports"; done
at() { echo "127.0.0.1:$((base + $1))"; }
ready() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
await() { for _ in $(seq 1 200); do ready "$1" && return 0; sleep 0.05; done; fail "nobody listens on port $1"; }

"$bin/fdo-rendezvous" --data-dir "$work/rendezvous" serve --listen "$(at 0)" --operators "$(at 1)" >"$work/rendezvous.log" 2>&1 &
running+=($!)
"$bin/fdo-manufacturer" --data-dir "$work/manufacturer" serve --listen "$(at 2)" --operators "$(at 3)" --claims "$(at 4)" \
  --rendezvous "http://$(at 0)" --admission open >"$work/manufacturer.log" 2>&1 &
running+=($!)
"$bin/fdo-owner" --data-dir "$work/owner" serve --listen "$(at 5)" --operators "$(at 6)" --public-url "http://$(at 5)" \
  --est "" --status "" --outbound-allow loopback >"$work/owner.log" 2>&1 &
running+=($!)
owner_pid=$!
for port in 0 1 2 3 4 5 6; do await $((base + port)); done
maker() { "$bin/fdo-manufacturer" --data-dir "$work/manufacturer" --api "http://$(at 3)" "$@"; }
owner() { "$bin/fdo-owner" --data-dir "$work/owner" --api "http://$(at 6)" "$@"; }
field() { sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p' | head -n 1; }

cat >"$work/device.toml" <<SETTINGS
service_info_size = 65535
download_limit = $(((size + 1) * 1048576))
time_limit = 7200
SETTINGS
device() { "$bin/fdo-device" --state-dir "$work/device" --config "$work/device.toml" "$@"; }

device init --manufacturer "http://$(at 2)" --serial LARGE-1 --model large >"$work/init.log" 2>&1
maker buyer add "Large" --json >"$work/buyer.json"
(umask 077; field code <"$work/buyer.json" >"$work/code")
owner manufacturer add "https://$(at 4)" --fingerprint "$(field identity_fingerprint <"$work/buyer.json")" \
  --code-file "$work/code" >"$work/enrol.log" 2>&1
maker allocate LARGE-1 --buyer "Large" >"$work/allocate.log" 2>&1
owner claim LARGE-1 --wait 60 >"$work/claim.log" 2>&1
for _ in $(seq 1 300); do
  [ "$(owner device get LARGE-1 --json | field state)" != registered ] || break
  sleep 0.1
done

head -c "$((size * 1048576))" /dev/urandom >"$work/large.bin"
cat >"$work/plan.toml" <<PLAN
scope = "all"
[[steps]]
module = "fdo.download"
file = "large.bin"
name = "large.bin"
required = true
[[steps]]
module = "fdo.upload"
name = "large.bin"
required = true
PLAN
owner file add large.bin "$work/large.bin" >"$work/add.log" 2>&1
owner plan set "$work/plan.toml" >"$work/plan.log" 2>&1
rest_mib=$(($(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$owner_pid/status") / 1024))

started=$SECONDS
# Not by the function: what is watched must be the program itself.
"$bin/fdo-device" --state-dir "$work/device" --config "$work/device.toml" onboard >"$work/onboard.log" 2>&1 &
device_pid=$! device_peak=0
running+=("$device_pid")
while kill -0 "$device_pid" 2>/dev/null; do
  now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$device_pid/status" 2>/dev/null || true)
  [ -z "$now" ] || device_peak=$now
  sleep 0.2
done
wait "$device_pid" || fail "the device did not onboard"
took=$((SECONDS - started))
owner_peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$owner_pid/status")

cmp "$work/large.bin" "$work/device/files/large.bin" || fail "the device has another file"
owner upload get "$(owner upload list --device LARGE-1 --json | field id)" "$work/back.bin" >"$work/get.log" 2>&1
cmp "$work/large.bin" "$work/back.bin" || fail "another file came back"
printf '%s MiB to the device and back in %s s: the owner used %s MiB at the most (%s before), the device %s MiB\n' \
  "$size" "$took" "$((owner_peak / 1024))" "$rest_mib" "$((device_peak / 1024))"
[ $((owner_peak / 1024)) -le "$bound_mib" ] || fail "the owner used more than $bound_mib MiB"
[ $((device_peak / 1024)) -le "$bound_mib" ] || fail "the device used more than $bound_mib MiB"
