#!/usr/bin/env bash
# Build the images from this checkout (make images).
#   environments/images.sh operator|jobs|lite...
# BUILDER=docker|buildah      who builds; the first that is there if not set
# IMAGES_COMMAND=COMMAND      or a command of yours, called as: COMMAND TAG FOLDER --file FILE --build-arg NAME=VALUE...
# IMAGE_PREFIX, IMAGE_TAG     localhost/secateur- and the version: localhost/secateur-operator:0.1.0
# PYTHON_311, PYTHON_310      base images, instead of those that the Dockerfiles name
# PADDLE, PADDLE_INDEX        another Paddle, such as a GPU wheel, and where it is served
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
prefix=${IMAGE_PREFIX:-localhost/secateur-}
tag=${IMAGE_TAG:-$version}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-315532800}

builder() {
    if [ -n "${BUILDER:-}" ]; then
        echo "$BUILDER"
    elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then
        echo docker
    elif command -v buildah >/dev/null; then
        echo buildah
    else
        echo "images: neither a running docker nor buildah is here; remedy: install one, or set IMAGES_COMMAND" >&2
        exit 1
    fi
}

build() { # build NAME DOCKERFILE [OPTION]...
    local image=$prefix$1:$tag options=(--file "$2" "${@:3}")
    if [ -n "${IMAGES_COMMAND:-}" ]; then
        # shellcheck disable=SC2086  # a command with arguments
        $IMAGES_COMMAND "$image" . "${options[@]}"
        return
    fi
    case $(builder) in
    docker) docker build --tag "$image" "${options[@]}" . ;;
    buildah) buildah build --layers --timestamp "$SOURCE_DATE_EPOCH" --tag "$image" "${options[@]}" . ;;
    *) echo "images: BUILDER is docker or buildah" >&2 && exit 2 ;;
    esac
}

argument() { [ -z "$2" ] || arguments+=(--build-arg "$1=$2"); }

for image in "$@"; do
    arguments=()
    argument BASE "${PYTHON_311:-}"
    argument VERSION "$version"
    argument REVISION "$revision"
    case $image in
    operator) build operator operator/Dockerfile "${arguments[@]}" ;;
    jobs | lite)
        argument LITE_BASE "${PYTHON_310:-}"
        argument PADDLE "${PADDLE:-}"
        argument PADDLE_INDEX "${PADDLE_INDEX:-}"
        [ "$image" = jobs ] || arguments+=(--target lite)
        build "$image" jobs/Dockerfile "${arguments[@]}"
        ;;
    *) echo "usage: environments/images.sh operator|jobs|lite..." >&2 && exit 2 ;;
    esac
done
