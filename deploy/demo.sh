#!/usr/bin/env bash
# The whole story on this machine: a device is born, bought, switched on, recognised, and handed its Wi-Fi and its
# certificate, by three services and an agent that talk HTTP to each other.
#
#   ./deploy/demo.sh                      one device, six steps, each checked
#   ./deploy/demo.sh --life               the second half of life too: renew, revoke, refused, CRL, OCSP, an alert
#   ./deploy/demo.sh --devices 200        as many simulated devices at once
#   ./deploy/demo.sh --keep               leave the services running and print how to reach them
#   ./deploy/demo.sh --database URL       on PostgreSQL: postgres://user:password@host:port/database
set -euo pipefail

devices=1 keep=false life=false database=""
while [ $# -gt 0 ]; do
  case "$1" in
    --devices) devices=${2:?--devices needs a number}; shift 2 ;;
    --devices=*) devices=${1#*=}; shift ;;
    --keep) keep=true; shift ;;
    --life) life=true; shift ;;
    --database) database=${2:?--database needs a URL}; shift 2 ;;
    --database=*) database=${1#*=}; shift ;;
    -h|--help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "unknown option $1; see --help" >&2; exit 2 ;;
  esac
done
case "$devices" in ''|*[!0-9]*|0) echo "--devices needs a number from 1" >&2; exit 2 ;; esac
[ "$life" = false ] || [ "$devices" = 1 ] || { echo "--life follows one device" >&2; exit 2; }

cd "$(dirname "$0")/.."
tools=(cargo cc openssl ${database:+psql})
[ "$life" = false ] || tools+=(curl python3)
for tool in "${tools[@]}"; do
  command -v "$tool" >/dev/null || { echo "this needs $tool: install Rust, a C compiler and OpenSSL${database:+, and a PostgreSQL client}; for --life also curl and Python 3" >&2; exit 1; }
done

# --- what the steps use -----------------------------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/firstlight-demo.XXXXXX")
serial=FL-0001 model=demo-gateway
running=() suspect="" databases=()

milliseconds() { echo $(( ${EPOCHREALTIME/[.,]/} / 1000 )); }
say() { printf '%s\n' "$*"; }
begin() { number=$1 title=$2 started=$(milliseconds); suspect=$3; }
end() {
  printf '  %2s. %-14s %-78s %6d ms\n' "$number" "$title" "$1" $(( $(milliseconds) - started ))
}
fail() {
  printf '\nFAILED at step %s (%s): %s\n' "${number:-0}" "${title:-start}" "$1" >&2
  for name in $suspect; do
    [ -f "$work/$name.log" ] || continue
    printf '\nlast lines of %s:\n' "$name" >&2
    tail -n 20 "$work/$name.log" >&2
  done
  exit 1
}

finish() {
  status=$?
  trap - EXIT INT TERM
  if [ "$status" = 0 ] && [ "$keep" = true ]; then exit 0; fi
  for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${running[@]}"; do wait "$pid" 2>/dev/null || true; done
  for name in "${databases[@]}"; do psql -q "$database" -c "DROP DATABASE IF EXISTS $name WITH (FORCE)" >/dev/null || true; done
  if [ "$status" = 0 ]; then rm -rf "$work"; else say "the files of this run are in $work" >&2; fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Ports that nobody listens on: the usual ones, or the same ones a thousand further.
free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
base=0
until free $((8038 + base)) && free $((8039 + base)) && free $((8040 + base)) && free $((8041 + base)) \
  && free $((8042 + base)) && free $((8043 + base)) && free $((8044 + base)) && free $((8045 + base)) && free $((8046 + base)); do
  base=$((base + 1000)); [ "$base" -lt 50000 ] || fail "no free ports"
done
maker_url=http://127.0.0.1:$((8038 + base)) maker_api=http://127.0.0.1:$((8039 + base))
claims_address=127.0.0.1:$((8040 + base))
rendezvous_url=http://127.0.0.1:$((8041 + base)) rendezvous_api=http://127.0.0.1:$((8042 + base))
owner_url=http://127.0.0.1:$((8043 + base)) owner_api=http://127.0.0.1:$((8044 + base))
status_address=127.0.0.1:$((8046 + base))
owner_est=127.0.0.1:$((8045 + base))

bin=${CARGO_TARGET_DIR:-target}/release
maker() { "$bin/fdo-manufacturer" --data-dir "$work/manufacturer" --api "$maker_api" "$@"; }
rendezvous() { "$bin/fdo-rendezvous" --data-dir "$work/rendezvous" --api "$rendezvous_api" "$@"; }
owner() { "$bin/fdo-owner" --data-dir "$work/owner" --api "$owner_api" "$@"; }
device() { "$bin/fdo-device" --state-dir "$work/device" "$@"; }

# The URL of a service's own database, beside the one that was named.
database_of() {
  local rest=${database%%\?*} query=""
  case "$database" in *\?*) query="?${database#*\?}" ;; esac
  printf '%s/%s%s\n' "${rest%/*}" "firstlight_demo_$$_$1" "$query"
}

# serve NAME ARGUMENTS..: starts a service and waits until it is ready.
serve() {
  local name=$1 api=$2; shift 2
  local more=() ready=false
  if [ -n "$database" ]; then
    databases+=("firstlight_demo_$$_$name")
    psql -q "$database" -c "CREATE DATABASE firstlight_demo_$$_$name" >/dev/null \
      || fail "cannot create a database for the $name beside the one that --database names"
    more=(--database "$(database_of "$name")")
  fi
  "$bin/fdo-$name" --data-dir "$work/$name" serve "$@" "${more[@]}" >"$work/$name.log" 2>&1 &
  running+=($!)
  for _ in $(seq 1 200); do
    kill -0 "${running[-1]}" 2>/dev/null || break
    if ready "$api"; then ready=true; break; fi
    sleep 0.05
  done
  [ "$ready" = true ] || { suspect=$name; fail "$name does not start"; }
}
ready() {
  local host=${1#http://} answer
  exec 3<>"/dev/tcp/${host%:*}/${host#*:}" || return 1
  printf 'GET /ready HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$host" >&3
  read -r answer <&3 || answer=""
  exec 3>&-
  case "$answer" in *" 200 "*) return 0 ;; *) return 1 ;; esac
} 2>/dev/null

# field NAME: the first text under that name in JSON from standard input.
field() { sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p' | head -n 1; }

# --- build and start --------------------------------------------------------------------------------------------

# Nobody wants to wait for the alert of step 10.
[ "$life" = false ] || export FDO_OWNER_ALERTS__EVERY_SECONDS=1
# The maker bounds what one buyer claims in an hour; a large demo is one large order.
export FDO_MANUFACTURER_CLAIMS__SERIALS_PER_HOUR=$((devices + 600))

say "Firstlight: building (the first time takes some minutes)"
cargo build --release --quiet -p fdo-manufacturer -p fdo-rendezvous -p fdo-owner -p fdo-device

number=0 title=start
serve rendezvous "$rendezvous_api" --listen "${rendezvous_url#http://}" --operators "${rendezvous_api#http://}"
serve manufacturer "$maker_api" --listen "${maker_url#http://}" --operators "${maker_api#http://}" \
  --claims "$claims_address" --rendezvous "$rendezvous_url" --admission open
serve owner "$owner_api" --listen "${owner_url#http://}" --operators "${owner_api#http://}" \
  --public-url "$owner_url" --est "$owner_est" --status "$status_address" --outbound-allow loopback
say "Three services run, each on its own $([ -n "$database" ] && echo "PostgreSQL database" || echo "SQLite file"):"
say "  manufacturer $maker_url   rendezvous $rendezvous_url   owner $owner_url"
say

# --- 1. birth ---------------------------------------------------------------------------------------------------

begin 1 Birth "manufacturer"
if [ "$devices" = 1 ]; then
  device init --manufacturer "$maker_url" --serial "$serial" --model "$model" >"$work/init.log" 2>&1 \
    || { suspect="init manufacturer"; fail "the device was not born"; }
  guid=$(device status --json | field guid)
  maker voucher get "$serial" --json >"$work/voucher.json" || fail "the manufacturer has no voucher for $serial"
  grep -q "$guid" "$work/voucher.json" || fail "the manufacturer's voucher is not of $guid"
  end "serial $serial is ${guid:0:8}.., with an IDevID and a voucher"
else
  "$bin/fdo-device" --state-dir "$work/fleet" simulate init --devices "$devices" --prefix FL --model "$model" \
    --manufacturer "$maker_url" >"$work/init.log" || { suspect="init manufacturer"; fail "not every device was born"; }
  end "$devices devices have an IDevID and a voucher"
fi
serials() { for i in $(seq 1 "$devices"); do printf 'FL-%04d\n' "$i"; done; }
serials >"$work/serials.txt"
{ echo serial; serials; } >"$work/order.csv"

# --- 2. purchase ------------------------------------------------------------------------------------------------

begin 2 Purchase "owner manufacturer"
maker buyer add "Demo owner" --json >"$work/buyer.json" || fail "the buyer was not added"
(umask 077; field code <"$work/buyer.json" >"$work/code")
owner manufacturer add "https://$claims_address" --fingerprint "$(field identity_fingerprint <"$work/buyer.json")" \
  --code-file "$work/code" >"$work/enrol.log" 2>&1 || { suspect="enrol owner manufacturer"; fail "the owner was not enrolled"; }
rm -f "$work/code" "$work/buyer.json"
maker allocate --csv "$work/order.csv" --buyer "Demo owner" >"$work/allocate.log" 2>&1 \
  || { suspect="allocate manufacturer"; fail "the serials were not allocated"; }
owner claim --from "$work/serials.txt" --wait 60 >"$work/claim.log" \
  || { suspect="claim owner manufacturer"; fail "not every claim was fulfilled"; }
end "enrolled with code and keys; $devices of $devices claims fulfilled and verified"

# --- 3. rendezvous ----------------------------------------------------------------------------------------------

begin 3 Rendezvous "owner rendezvous"
registered=0
for _ in $(seq 1 600); do
  registered=$(rendezvous registration list --json | grep -c '"guid"' || true)
  [ "$registered" -lt "$devices" ] || break
  sleep 0.1
done
[ "$registered" -ge "$devices" ] || fail "only $registered of $devices devices are registered"
end "TO0 by the owner: $registered of $devices registered, renewed at 80 % of their time"

# --- 4. and 5. first power-on and provisioning ------------------------------------------------------------------

umask 077
printf 'correct horse battery staple\n' >"$work/wifi-password"
owner network add shop-floor --ssid "Shop floor" --password-file "$work/wifi-password" >"$work/network.log" 2>&1 \
  || { number=5 title=Provisioning suspect="network owner"; fail "the network was not added"; }
rm -f "$work/wifi-password"

if [ "$devices" = 1 ]; then
  begin 4 Power-on "onboard owner rendezvous"
  device onboard >"$work/onboard.log" 2>&1 || fail "the device did not onboard"
  end "TO1 and TO2: device proven by its IDevID key, owner by the voucher's chain"

  begin 5 Provisioning "onboard owner"
  wifi=$(find "$work/device/wifi" -name 'fdo-*.nmconnection' -type f | head -n 1)
  [ -n "$wifi" ] || fail "no Wi-Fi network was written"
  [ "$(stat -c %a "$wifi")" = 600 ] || fail "$wifi is not mode 0600"
  grep -q 'correct horse battery staple' "$wifi" || fail "the network's password did not arrive"
  ldevid=$(find -L "$work/device" -name ldevid.pem -type f | head -n 1)
  ca=$(find -L "$work/device" -name ldevid-ca.pem -type f | head -n 1)
  [ -n "$ldevid" ] && [ -n "$ca" ] || fail "no LDevID was stored"
  end "Wi-Fi $(basename "$wifi") (0600), LDevID with key and CA certificates"

  begin 6 Proof "owner"
  owner ca export root >"$work/root.pem" || fail "the owner does not show its CA"
  openssl verify -x509_strict -CAfile "$work/root.pem" -untrusted "$ca" "$ldevid" >"$work/verify.log" 2>&1 \
    || { suspect=verify; fail "openssl does not accept the LDevID"; }
  owner device get "$serial" --json >"$work/device.json" || fail "the owner does not know $serial"
  [ "$(field state <"$work/device.json")" = onboarded ] || fail "the owner's API does not show the device as onboarded"
  device onboard >"$work/again.log" 2>&1 || { suspect=again; fail "the second power-on failed"; }
  grep -qi 'onboarded' "$work/again.log" || { suspect=again; fail "the second power-on onboarded again"; }
  [ "$(owner onboarding list --json | grep -c '"new_guid"')" = 1 ] || fail "the device onboarded more than once"
  end "openssl verify: OK; onboarded in the owner's API; power-on 2 does nothing"
  say
  openssl x509 -in "$ldevid" -noout -subject -enddate | sed 's/^/     LDevID /'
else
  begin 4 Power-on "onboard owner rendezvous"
  "$bin/fdo-device" --state-dir "$work/fleet" simulate onboard --devices "$devices" --prefix FL \
    >"$work/onboard.log" || fail "not every device onboarded"
  end "TO1 and TO2 by $devices devices, 16 at a time"
  sed 's/^/     /' "$work/onboard.log"

  begin 5 Provisioning "onboard owner"
  networks=$(find "$work/fleet" -name 'fdo-*.nmconnection' -type f -perm 600 | wc -l)
  [ "$networks" = "$devices" ] || fail "only $networks of $devices devices have their Wi-Fi"
  certificates=$(find "$work/fleet" -path '*current*' -prune -o -name ldevid.pem -type f -print | wc -l)
  [ "$certificates" = "$devices" ] || fail "only $certificates of $devices devices have their LDevID"
  end "$networks Wi-Fi files (0600) and $certificates LDevIDs"

  begin 6 Proof "owner"
  owner ca export root >"$work/root.pem" || fail "the owner does not show its CA"
  while read -r ldevid; do
    openssl verify -x509_strict -CAfile "$work/root.pem" -untrusted "$(dirname "$ldevid")/ldevid-ca.pem" "$ldevid" \
      >>"$work/verify.log" 2>&1 || { suspect=verify; fail "openssl does not accept $ldevid"; }
  done < <(find "$work/fleet" -path '*current*' -prune -o -name ldevid.pem -type f -print)
  onboarded=$(owner device list --state onboarded --json | grep -c '"serial"' || true)
  [ "$onboarded" = "$devices" ] || fail "the owner's API shows $onboarded of $devices devices as onboarded"
  end "openssl verify: $certificates OK; $onboarded onboarded in the owner's API"
fi

# --- 7. to 10. the second half of life --------------------------------------------------------------------------

# A webhook as short as one can be: it checks the signature and keeps the message.
receiver() {
  cat <<'PYTHON'
import hashlib, hmac, http.server, os, sys
secret, folder = open(sys.argv[1], "rb").read().strip(), sys.argv[2]
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        parts = dict(part.split("=", 1) for part in self.headers["Firstlight-Signature"].split(","))
        mac = hmac.new(secret, parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
        good = hmac.compare_digest(mac, parts["v1"])
        self.send_response(204 if good else 403)
        self.end_headers()
        if good:
            with open(os.path.join(folder, "alert.json.new"), "wb") as file:
                file.write(body)
            os.replace(os.path.join(folder, "alert.json.new"), os.path.join(folder, "alert.json"))
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
with open(os.path.join(folder, "port.new"), "w") as file:
    file.write(str(server.server_port))
os.replace(os.path.join(folder, "port.new"), os.path.join(folder, "port"))
server.serve_forever()
PYTHON
}

# shown SECONDS COMMAND..: tries until it succeeds.
shown() {
  local tries=$(($1 * 10)); shift
  for _ in $(seq 1 "$tries"); do if "$@"; then return 0; fi; sleep 0.1; done
  return 1
}
number_of() { openssl x509 -in "$1" -noout -serial | cut -d= -f2; }
on_the_list() {
  curl -fsS "$crl" -o "$work/list.crl" && openssl crl -inform DER -in "$work/list.crl" -CAfile "$ca" -noout -text >"$work/crl.log" 2>&1 \
    && grep -q "Serial Number: $revoked" "$work/crl.log"
}
revoked_by_ocsp() {
  openssl ocsp -issuer "$work/issuing.pem" -cert "$work/revoked.pem" -url "$ocsp" -CAfile "$work/root.pem" >"$work/ocsp.log" 2>&1
  grep -q 'revoked.pem: revoked' "$work/ocsp.log"
}
alerted() { grep -qs 'renewal-failed' "$work/webhook/alert.json"; }

if [ "$life" = true ]; then
  mkdir -p "$work/webhook"
  openssl rand -hex 32 >"$work/webhook-secret"
  receiver >"$work/receiver.py"
  python3 "$work/receiver.py" "$work/webhook-secret" "$work/webhook" >"$work/webhook.log" 2>&1 &
  running+=($!)
  shown 10 test -s "$work/webhook/port" || { number=10 title=Alert suspect=webhook; fail "the webhook does not start"; }
  owner alert-target add webhook demo "http://127.0.0.1:$(cat "$work/webhook/port")/" --secret-file "$work/webhook-secret" \
    >"$work/target.log" 2>&1 || { number=10 title=Alert suspect="target owner"; fail "the alert target was not added"; }

  # By the link, which leads to the present pair: renewal puts another one in its place.
  ldevid=$work/device/ldevid/ldevid.pem ca=$work/device/ldevid/ldevid-ca.pem
  begin 7 Renewal "renew owner"
  before=$(number_of "$ldevid")
  device renew >"$work/renew.log" 2>&1 || fail "the device did not renew"
  revoked=$(number_of "$ldevid")
  [ "$before" != "$revoked" ] || fail "the device has its old certificate"
  openssl verify -x509_strict -CAfile "$work/root.pem" -untrusted "$ca" "$ldevid" >"$work/verify.log" 2>&1 \
    || { suspect=verify; fail "openssl does not accept the new LDevID"; }
  end "by EST, with a fresh key: ${before:0:8}.. became ${revoked:0:8}.."

  begin 8 Revocation "revoke refused owner"
  cp "$ldevid" "$work/revoked.pem"
  crl=$(openssl x509 -in "$ldevid" -noout -ext crlDistributionPoints | sed -n 's/.*URI:\(.*\)/\1/p' | head -n 1)
  ocsp=$(openssl x509 -in "$ldevid" -noout -ocsp_uri | head -n 1)
  owner ca export issuing >"$work/issuing.pem" || fail "the owner does not show its issuing CA"
  owner device revoke "$serial" --reason keyCompromise >"$work/revoke.log" 2>&1 || fail "the device was not revoked"
  if device renew >"$work/refused.log" 2>&1; then fail "a revoked device renewed"; fi
  grep -qi 'revoked' "$work/refused.log" || fail "the device is not told why"
  end "$serial lost its certificates, and EST refuses to renew them: 403"

  begin 9 CRL-and-OCSP "crl ocsp owner"
  shown 5 on_the_list || fail "the certificate is not on its CRL after 5 seconds"
  shown 5 revoked_by_ocsp || fail "OCSP does not say revoked after 5 seconds"
  end "openssl finds ${revoked:0:8}.. on the CRL that it names, and OCSP says revoked"

  begin 10 Alert "webhook owner"
  shown 20 alerted || fail "no alert came to the webhook"
  [ "$(owner alert list --json | grep -c '"renewal-failed"')" -ge 1 ] || fail "the owner lists no alert"
  end "the refused renewal was told to a webhook, signed, and is listed"
fi

say
if [ "$keep" = true ]; then
  say "The services go on running; their files are in $work"
  say "  manufacturer  $maker_url   operators $maker_api   claims https://$claims_address"
  say "  rendezvous    $rendezvous_url   operators $rendezvous_api"
  say "  owner         $owner_url   operators $owner_api"
  say "  operator token of the owner: $(cat "$work/owner/operator-token")"
  say "  stop them with: kill ${running[*]}"
  disown -a
else
  say "Everything held. --keep leaves the services running, --devices 200 does it with a fleet."
fi
