"""Stand-ins for apt and dpkg, with one archive of packages that are tar files inside."""

from pathlib import Path

_PROGRAMS = {
    "apt-get": """\
while [ "$1" != update ] && [ "$1" != download ]; do shift; done
command=$1
shift
if [ "$command" = update ]; then
    [ -d {archive} ] || {{ echo "E: there is no archive" >&2; exit 100; }}
else
    for name; do cp {archive}/"$name".deb . || exit 100; done
fi
""",
    "apt-cache": """\
for name; do :; done
case " $* " in
*" show "*) awk -v RS= -v "name=$name" '$2 == name' {archive}/Packages ;;
*" depends "*) sed -n 's/^Package: //p' {archive}/Packages ;;
esac
""",
    "dpkg-deb": """\
case "$1" in
--extract) exec tar -xf "$2" -C "$3" ;;
--root-owner-group) exec tar --exclude DEBIAN -cf "$4" -C "$3" . ;;
esac
""",
}


def put_apt(folder: Path, archive: Path) -> None:
    """Write the programs into a new folder."""
    folder.mkdir()
    for name, script in _PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/sh\n{script.format(archive=archive)}", encoding="ascii")
        (folder / name).chmod(0o755)
