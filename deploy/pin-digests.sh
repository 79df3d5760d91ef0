#!/bin/sh
# Pins the images of compose.yaml (and the base image of the Dockerfile) by digest: what is pulled later is what was looked at today.
#   deploy/pin-digests.sh            prints compose.override.yaml and a FROM line
#   deploy/pin-digests.sh --write    writes deploy/compose.override.yaml, which docker compose reads when both files are given with -f
# Needs docker with buildx and the network. Run it again to take updates.
set -eu
cd "$(dirname "$0")"

digest_of() {
  docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1"
}

override() {
  echo "# Written by deploy/pin-digests.sh."
  echo "services:"
  # `  name:` begins a service, `    image: name:tag` is its image.
  awk '/^  [a-z]+:$/ { sub(":", "", $1); name = $1 } /^    image: / { print name, $2 }' compose.yaml |
    while read -r service image; do
      printf '  %s:\n    image: %s@%s\n' "$service" "$image" "$(digest_of "$image")"
    done
}

pinned=$(override)
if [ "${1:-}" = --write ]; then
  printf '%s\n' "$pinned" > compose.override.yaml
  echo "wrote deploy/compose.override.yaml: docker compose -f deploy/compose.yaml -f deploy/compose.override.yaml up -d"
else
  printf '%s\n' "$pinned"
fi
base=$(sed -n 's/^ARG NODE_IMAGE=//p' ../Dockerfile)
echo "Dockerfile: docker compose build --build-arg NODE_IMAGE=$base@$(digest_of "$base")" >&2
