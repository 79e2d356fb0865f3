#!/usr/bin/env bash
# What make test-browser needs besides VENV: Chromium with its driver, from Debian's packages, and
# selenium from PyPI. Installed where they are missing; the browser only by root.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: chromium and chromedriver are missing: apt-get install chromium chromium-driver" >&2
    exit 1
  fi
  echo "setup: installing chromium and chromium-driver"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    chromium chromium-driver fonts-dejavu-core >/dev/null
fi
"${VENV:-.venv}/bin/python" -c 'import selenium' 2>/dev/null ||
  "${VENV:-.venv}/bin/python" -m pip --disable-pip-version-check install -q \
    "$(sed -n 's/^browser = \["\(.*\)"\]$/\1/p' pyproject.toml)"
