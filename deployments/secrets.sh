#!/bin/sh
# Draws every secret that compose.yaml needs, once, into a folder (default:
# secrets beside this file). Files that exist are kept, so it may run again.
# Needs openssl. Keep the folder out of backups of the data.
#
#   secrets.sh [folder]
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
out=${1:-$here/secrets}
command -v openssl >/dev/null || { echo "secrets.sh: openssl is missing" >&2; exit 2; }
# Containers run as another user and see single files, so the folder guards them.
umask 022
mkdir -p "$out"
chmod 700 "$out"

# put writes standard input to a new file; a file that exists is kept.
put() {
	if [ -e "$out/$1" ]; then cat >/dev/null; else cat >"$out/$1"; fi
}
# A letter first: NATS reads a value that looks like a number as one.
password() { printf 'p%s' "$(openssl rand -hex 24)"; }

users="admin intake desk scope deadline notice sys cluster"
for user in $users; do password | put "password_nats_$user"; done
for role in tocsin intake scope notice; do password | put "password_postgres_$role"; done

# What the NATS nodes read.
{
	for user in $users; do
		printf 'TOCSIN_NATS_%s_PASSWORD=%s\n' "$(echo "$user" | tr '[:lower:]' '[:upper:]')" "$(cat "$out/password_nats_$user")"
	done
	for node in 1 2 3; do
		printf 'TOCSIN_NATS_ROUTE_%s=nats://cluster:%s@nats-%s:6222\n' "$node" "$(cat "$out/password_nats_cluster")" "$node"
	done
} | put nats.env

# What each service reads: its own NATS user, its own database role, its own keys.
for user in admin intake desk scope deadline notice; do
	printf '%s: %s\n' "$user" "$(cat "$out/password_nats_$user")" | put "nats_$user.yaml"
done
for role in intake scope notice; do
	printf 'postgres://%s:%s@postgres:5432/tocsin?sslmode=disable\n' "$role" "$(cat "$out/password_postgres_$role")" | put "database_$role"
done
for key in ledger calendar; do openssl rand -hex 32 | put "$key.key"; done

# The desk signs approvals; the sender trusts this public key and no other.
openssl genpkey -algorithm ed25519 2>/dev/null | put approval.key
openssl pkey -in "$out/approval.key" -pubout -outform DER | tail -c 32 >"$out/.public"
printf 'keys:\n  - id: ed25519:%s\n    public: %s\n    holder: desk\n    valid_from: %s\n' \
	"$(openssl dgst -sha256 -r "$out/.public" | cut -c1-16)" "$(openssl base64 -A -in "$out/.public")" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" | put keyring.yaml
rm "$out/.public"

# scope makes and rotates the root of all person keys itself, on a volume of its own.

# Accounts of the providers: these suit the sandbox. Put the real ones here.
printf 'SG.%s\n' "$(openssl rand -hex 16)" | put sendgrid_api_key
openssl rand -hex 16 | put twilio_auth_token
openssl ecparam -name prime256v1 -genkey -noout | put sandbox.key
printf 'TOCSIN_SENDGRID_EVENT_KEY=%s\n' "$(openssl ec -in "$out/sandbox.key" -pubout -outform DER 2>/dev/null | openssl base64 -A)" | put sandbox.env

echo "secrets are in $out"
