#!/bin/sh
# Makes a release of the commit that is checked out, in a directory:
#   tools/release.sh <directory>                     the package, its bill of materials (CycloneDX), checksums
#   tools/release.sh <directory> --image <name>      and the image <name>:<version>, built on a base image named by its digest, and
#                                                    compose.override.yaml, which names the images of deploy/compose.yaml by theirs
# Needs Node 20.19 or newer, npm and git; for the image docker with buildx and the network. It publishes nothing.
set -eu
usage="usage: tools/release.sh <directory> [--image <name>]"
[ $# -eq 1 ] || { [ $# -eq 3 ] && [ "$2" = --image ]; } || { echo "$usage" >&2; exit 64; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
image=${3:-}
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What is committed, and nothing that lies beside it.
git archive HEAD | tar -x -C "$work"
revision=$(git rev-parse HEAD)
created=$(git log -1 --format=%cI)
cd "$work"
npm ci
version=$(npm pkg get version | tr -d '"')
node=$(sed -n 's/^const needed = \([0-9]*\);$/\1/p' bin/fixgate.js)
# A checkout brings its Node along; the package runs on the one that is installed.
npm pkg set "engines.node=>=$node"
npm pack --pack-destination "$out"
npm sbom --package-lock-only --omit dev --sbom-format cyclonedx > "$out/fixgate-$version.cdx.json"
files="fixgate-$version.tgz fixgate-$version.cdx.json"

if [ -n "$image" ]; then
  base=$(sed -n 's/^ARG NODE_IMAGE=//p' Dockerfile)
  digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$base")
  docker buildx build --load --tag "$image:$version" --build-arg "NODE_IMAGE=$base@$digest" --build-arg "BASE_DIGEST=$digest" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "CREATED=$created" .
  deploy/pin-digests.sh > "$out/compose.override.yaml"
  files="$files compose.override.yaml"
fi

cd "$out"
# shellcheck disable=SC2086 # names without blanks
sha256sum $files > SHA256SUMS
cat SHA256SUMS
