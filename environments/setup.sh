#!/usr/bin/env bash
# Make the two environments of this checkout: .venv (Secateur, Paddle, tools) and .venv-lite (Paddle Lite's
# wheel, which exists for Python 3.10 only). Safe to repeat: what is up to date is left alone.
#   environments/setup.sh main|lite
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

# Print the first working interpreter of the given versions: on PATH, from pyenv, from uv.
find_python() {
    local version candidate
    for version in "$@"; do
        for candidate in "$(command -v "python$version" || true)" \
            "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python \
            "$(command -v uv >/dev/null && uv python find --no-project "$version" 2>/dev/null || true)" \
            "$(command -v python3 || true)"; do
            [ -n "$candidate" ] && [ -x "$candidate" ] || continue
            if [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ]; then
                printf '%s\n' "$candidate"
                return 0
            fi
        done
    done
    return 1
}

# Make a virtual environment; Debian's python3 comes without ensurepip until python3-venv is installed.
make_venv() {
    local python=$1 folder=$2 version
    "$python" -m venv --clear "$folder" 2>/dev/null && return 0
    rm -rf "$folder"
    if command -v uv >/dev/null && uv venv -q --seed --python "$python" "$folder"; then return 0; fi
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing python$version-venv"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "python$version-venv" >/dev/null
        "$python" -m venv --clear "$folder" && return 0
    fi
    say "cannot make a virtual environment with $python; remedy: apt-get install python$version-venv"
    return 1
}

# Whether an environment was finished from these very files; "stamp" marks it so.
fresh() { [ -f "$1/.stamp" ] && [ "$(cat "$1/.stamp")" = "$(sum "$2")" ]; }
sum() { cat pyproject.toml "$1" environments/setup.sh | sha256sum; }

# uv can bring an interpreter where the machine may download one.
bring_python() {
    if ! command -v uv >/dev/null; then
        [ -x .venv/bin/python ] || return 1
        .venv/bin/python -m pip install -q -c environments/main.txt uv || return 1
        export PATH="$PWD/.venv/bin:$PATH"
    fi
    say "no Python $1 on this machine; trying to fetch it with uv"
    uv python install -q "$1" 2>/dev/null && find_python "$1"
}

main() {
    if fresh .venv environments/main.txt; then return 0; fi
    local python
    python=$(find_python 3.11 3.12) || python=$(bring_python 3.12) || {
        say "Python 3.11 or 3.12 is needed (paddle2onnx has no wheel for later ones); remedy: install one by your distribution, pyenv or uv"
        exit 1
    }
    say "making .venv with $("$python" --version) (about 1 GB on disk)"
    [ -x .venv/bin/python ] || make_venv "$python" .venv
    .venv/bin/python -m pip install -q -c environments/main.txt -e '.[operator,jobs,s3,dev]'
    # PaddleSlim's own pins contradict each other and are not needed for its pruners.
    .venv/bin/python -m pip install -q --no-deps -c environments/main.txt paddleslim
    .venv/bin/python -c 'import paddle' 2>/dev/null || libgomp
    sum environments/main.txt >.venv/.stamp
}

# Paddle's wheel links to the OpenMP runtime, which minimal images leave out.
libgomp() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing libgomp1 (Paddle needs it)"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libgomp1 >/dev/null
    fi
    .venv/bin/python -c 'import paddle' >/dev/null || {
        say "Paddle cannot be imported (above); remedy: apt-get install libgomp1"
        exit 1
    }
}

lite() {
    if fresh .venv-lite environments/lite.txt; then return 0; fi
    local python
    python=$(find_python 3.10) || python=$(bring_python 3.10) || {
        say "no Python 3.10 for Paddle Lite (ONNX still works); remedy: install python3.10 by your distribution, pyenv or uv, then run this again"
        return 0
    }
    say "making .venv-lite with $("$python" --version)"
    [ -x .venv-lite/bin/python ] || make_venv "$python" .venv-lite
    .venv-lite/bin/python -m pip install -q -c environments/lite.txt numpy paddlelite
    sum environments/lite.txt >.venv-lite/.stamp
}

case "${1:-}" in
main) main ;;
lite) lite ;;
*) say "usage: environments/setup.sh main|lite" && exit 2 ;;
esac
