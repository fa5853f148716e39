#!/bin/sh
# Makes the secrets that compose.yaml hands out, in ./secrets: random ones, each once. What is there stays as it is.
#
# The folder is closed to everybody but its owner. The files in it are readable, since the containers that read them run
# as users of their own.
set -eu
cd "$(dirname "$0")/.."
umask 077
mkdir -p secrets
chmod 700 secrets

random() {
	LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | head -c "$1"
}

# NAME CONTENT: writes the file unless it is there.
keep() {
	if [ ! -e "secrets/$1" ]; then
		printf '%s' "${2:+$2
}" >"secrets/$1.new"
		chmod 644 "secrets/$1.new"
		mv "secrets/$1.new" "secrets/$1"
		echo "made secrets/$1"
	fi
}

# FILE SCRIPT: what the sed script finds in a file that is there, else something new.
known() {
	if [ -e "secrets/$1" ]; then sed -n "$2" "secrets/$1"; else random 40; fi
}

keep api_key "gp-$(random 43)"
keep admin_key "gp-$(random 43)"
keep state_key "$(random 43)"
keep grafana_password "$(random 24)"

# To be written by whoever wants alerts (docs/alerts.md). They are there, since Compose hands out no file that is not.
keep bark_keys ""
keep bark_encryption_key ""

password=$(known valkey_auth 's/^requirepass //p')
keep valkey_auth "requirepass $password"
keep redis_url "redis://:$password@valkey:6379/0"

access=$(known s3_access_key '1p')
secret=$(known s3_secret_key '1p')
keep s3_access_key "$access"
keep s3_secret_key "$secret"
# The gateway may do everything in the bucket; everybody may read a picture whose name they know, and list nothing.
keep s3.json "{\"identities\": [
  {\"name\": \"gateway\", \"credentials\": [{\"accessKey\": \"$access\", \"secretKey\": \"$secret\"}],
   \"actions\": [\"Admin\", \"Read\", \"Write\", \"List\", \"Tagging\"]},
  {\"name\": \"anonymous\", \"actions\": [\"Read:pictures\"]}]}"
