#!/bin/sh
# Collect a root file system that holds one Python tree, the shared libraries that it links to, and what every
# program expects (certificates, a user, /tmp): the content of an image without shell, package manager or compiler.
#   rootfs.sh PREFIX TARGET     (PREFIX/bin/python3 is the interpreter)
set -eu
prefix=$1 target=$2
export LD_LIBRARY_PATH="$prefix/lib" # where the Python of some bases has its own shared library

python_tree() {
    mkdir -p "$target$prefix/bin"
    cp -a "$prefix/lib" "$target$prefix/"
    cp -a "$prefix"/bin/python3* "$target$prefix/bin/"
    ln -sf python3 "$target$prefix/bin/python"
    cd "$target$prefix"
    rm -rf bin/*-config lib/pkgconfig lib/*.a lib/python3.*/config-3.* lib/python3.*/ensurepip lib/python3.*/idlelib \
        lib/python3.*/lib2to3 lib/python3.*/pydoc_data lib/python3.*/test lib/python3.*/tkinter \
        lib/python3.*/turtledemo lib/python3.*/site-packages/pip lib/python3.*/site-packages/pip-* \
        lib/python3.*/site-packages/pkg_resources lib/python3.*/site-packages/setuptools* \
        lib/python3.*/site-packages/wheel*
    find . \( -name '_tkinter*.so' -o -name '_test*.so' -o -name '_ctypes_test*.so' \) -delete
    cd - >/dev/null
}

# Every library outside the tree that something in it links to, and the loader.
libraries() {
    find "$target$prefix" -type f \( -name '*.so*' -o -path '*/bin/python3*' \) | while read -r file; do
        ldd "$file" | sed -n -e 's/.* => \(\/[^ ]*\) .*/\1/p' -e 's/^\t\(\/[^ ]*ld-[^ ]*\) .*/\1/p'
    done | sort -u | grep -v -e "^$target/" -e "^$prefix/"
}

# Copied to where it really lies (/lib is a link to /usr/lib); its package is named where scanners look for it.
library() {
    folder=$(realpath "$(dirname "$1")") name=$(basename "$1")
    mkdir -p "$target$folder"
    cp -L "$1" "$target$folder/$name"
    package=$(dpkg -S "*/$(basename "$(realpath "$1")")" | head -1 | cut -d: -f1)
    dpkg -s "$package" >"$target/var/lib/dpkg/status.d/$package"
}

mkdir -p "$target/etc/ssl/certs" "$target/var/lib/dpkg/status.d" "$target/usr/lib" \
    "$target/usr/lib64" "$target/tmp"
chmod 1777 "$target/tmp"
ln -s usr/lib "$target/lib"
ln -s usr/lib64 "$target/lib64"
echo 'secateur:x:65532:65532::/tmp:/nologin' >"$target/etc/passwd"
echo 'secateur:x:65532:' >"$target/etc/group"
cp /etc/ssl/certs/ca-certificates.crt "$target/etc/ssl/certs/"
python_tree
for file in $(libraries); do library "$file"; done
echo "$prefix/lib" >"$target/etc/ld.so.conf"
ldconfig -r "$target"
PYTHONHASHSEED=0 "$prefix/bin/python3" "$(dirname "$0")/compile.py" "$target$prefix/lib" --where "$target"
