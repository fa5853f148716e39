#!/bin/sh
# Backs up what the services of compose.yaml keep, into a new folder: ./deploy/backup.sh [FOLDER]. Callers notice nothing.
# Pictures go along with PICTURES=yes; the object store stands still meanwhile, and the gateways keep new ones themselves.
# The user runs it who runs `docker compose`. Until all is there the folder is called FOLDER.partial.
set -eu
stood=$PWD
cd "$(dirname "$0")/.."
umask 077
folder=${1:-backup/$(date -u +%Y%m%dT%H%M%SZ)}
folder=${folder%/}
# A folder that is named is meant from where one stands; the default belongs to the project.
case "${1:-/}" in
/*) ;;
*) [ "$stood" = "$PWD" ] || folder=$stood/$folder ;;
esac
partial=$folder.partial
for there in "$folder" "$partial"; do
	if [ -e "$there" ]; then
		echo "$there is there already: remove it, or name another folder." >&2
		exit 1
	fi
done

valkey() {
	docker compose exec -T valkey sh -c \
		'REDISCLI_AUTH="$(sed -n "s/^requirepass //p" /run/secrets/valkey_auth)" valkey-cli "$@"' valkey-cli "$@"
}

# Whatever ends this: the services go on as they did before. A shell may leave out the trap of EXIT where a signal kills it.
halted='' stopped=''
finish() {
	code=$?
	trap '' HUP INT TERM
	if [ -n "$halted" ] && ! valkey config set auto-aof-rewrite-percentage 100 >/dev/null; then
		echo "The store could not be told to write its append-only file anew by itself again: docker compose restart valkey" >&2
		code=1
	fi
	if [ -n "$stopped" ] && ! docker compose start s3; then
		echo "The object store stands still: docker compose start s3" >&2
		code=1
	fi
	if [ -e "$partial" ]; then
		echo "The backup has failed. Remove $partial: something is missing in it." >&2
	fi
	exit "$code"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir -p "$partial"

# The append-only file may be copied while it grows, but not while it is written anew.
halted=yes
valkey config set auto-aof-rewrite-percentage 0 >/dev/null
while valkey info persistence | grep -q '^aof_rewrite_in_progress:1'; do sleep 1; done
docker compose exec -T valkey tar -C /data -cf - appendonlydir >"$partial/valkey.tar"

# Files in config/ belong to the gateway's user or to yours, and only their owner may read them. Root of a container may
# read both; Valkey's service has one, the gateway's has none.
docker compose run --rm -T --no-deps --entrypoint tar -v "$PWD/config:/mnt:ro" valkey -C /mnt -cf - . >"$partial/config.tar"
tar -cf "$partial/files.tar" secrets $(ls .env 2>/dev/null)
docker compose exec -T caddy tar -C /data -cf - . >"$partial/certificates.tar"

if [ "${PICTURES:-no}" = yes ]; then
	stopped=yes
	docker compose stop s3
	docker compose run --rm -T --no-deps --entrypoint tar s3 -C /data -cf - . >"$partial/pictures.tar"
	docker compose start s3
	stopped=''
fi
mv "$partial" "$folder"
echo "$folder holds:"
ls -l "$folder"
