#!/usr/bin/env bash
# Lay ecFlow's server and client of Debian into a folder, without root and without the libraries of its window.
#
#     run/ecflow/lay.sh .venv/ecflow         bin/ecflow_server, bin/ecflow_client; 12 MB
set -euo pipefail
[[ $# -eq 1 && $1 != -* ]] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; [[ ${1:-} == -h || ${1:-} == --help ]]; exit; }

made=$(realpath -m "$1")
rm -rf "$made"
mkdir -p "$made/bin"
cd "$made"
mapfile -t needed < <(apt-cache depends ecflow-server | sed -n 's/.*Depends: \(libboost.*\)/\1/p')
apt-get download -q ecflow-server ecflow-client "${needed[@]}" >/dev/null
for package in ./*.deb; do dpkg -x "$package" .; done
rm -r -- ./*.deb usr/share usr/bin/ecflow_ui*
for program in sbin/ecflow_server bin/ecflow_client; do
    cat >"bin/${program#*/}.part" <<END
#!/bin/sh
LD_LIBRARY_PATH=\$(echo "$made"/usr/lib/*-linux-gnu)\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH} exec "$made/usr/$program" "\$@"
END
    chmod +x "bin/${program#*/}.part"
    mv "bin/${program#*/}.part" "bin/${program#*/}"
done
