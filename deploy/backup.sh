#!/bin/sh
# Backs up what the services of compose.yaml keep, into a new folder: ./deploy/backup.sh [FOLDER]. Callers notice nothing.
# Pictures go along with PICTURES=yes; the object store stands still meanwhile, and the gateways keep new ones themselves.
set -eu
cd "$(dirname "$0")/.."
umask 077
folder=${1:-backup/$(date -u +%Y%m%dT%H%M%SZ)}
mkdir -p "$folder"

valkey() {
	docker compose exec -T valkey sh -c \
		'REDISCLI_AUTH="$(sed -n "s/^requirepass //p" /run/secrets/valkey_auth)" valkey-cli "$@"' valkey-cli "$@"
}

# The append-only file may be copied while it grows, but not while it is written anew.
valkey config set auto-aof-rewrite-percentage 0 >/dev/null
trap 'valkey config set auto-aof-rewrite-percentage 100 >/dev/null' EXIT
while valkey info persistence | grep -q '^aof_rewrite_in_progress:1'; do sleep 1; done
docker compose exec -T valkey tar -C /data -cf - appendonlydir >"$folder/valkey.tar"

tar -cf "$folder/files.tar" config secrets $(ls .env 2>/dev/null)
docker compose exec -T caddy tar -C /data -cf - . >"$folder/certificates.tar"

if [ "${PICTURES:-no}" = yes ]; then
	docker compose stop s3
	docker compose run --rm -T --no-deps --entrypoint tar s3 -C /data -cf - . >"$folder/pictures.tar" || failed=1
	docker compose start s3
	[ -z "${failed:-}" ]
fi
echo "$folder holds:"
ls -l "$folder"
