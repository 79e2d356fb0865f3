#!/usr/bin/env bash
# Sets up VENV (default .venv) with everything that the tests and the demo need.
# Done once; the second call returns at once. PYTHON names the interpreter, STACK is
# openmmlab (default) or onedl. mmcv is compiled once and kept in
# ${XDG_CACHE_HOME:-~/.cache}/mmdet_lordre, by Python, torch and mmcv version.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
stack=${STACK:-openmmlab}
venv=${VENV:-.venv}

"$python" - <<'PY' || exit 1
import sys
if sys.version_info < (3, 10):
    sys.exit(f'setup: Python 3.10 or newer is needed, this is {sys.version.split()[0]}; '
             'name another with PYTHON=python3.11 make test')
PY
case $stack in
openmmlab) prefix= detection=mmdet ;;
onedl) prefix=onedl- detection=onedl-mmdetection ;;
*) echo "setup: STACK must be openmmlab or onedl, not $stack" >&2; exit 1 ;;
esac

say() { echo "setup: $*"; }

# make test and make demo at once: the second waits, and finds everything done
mkdir -p "$venv"
exec 8>"$venv/.lock"
if command -v flock >/dev/null && ! flock -n 8; then
  say "another one is at work in $venv; waiting for it"
  flock 8
fi

stamp=$venv/.ready
key=$( (cat constraints.txt pyproject.toml setup.py tools/setup.sh; echo "$stack"; "$python" -V) | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ]; then
  exit 0
fi

pin() { grep -E "^$1==" constraints.txt; }

say "preparing $venv (${stack}; the first time about 2 minutes, and 10 more to compile mmcv)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@" 2> >(grep -v '^WARNING: Location' >&2); }

# torch first and pinned: left to a dependency, pip would choose a build of several gigabytes
pip install -q "$(pin torch)"
if [ "$stack" = onedl ]; then setuptools='setuptools>=80,<82'; else setuptools='setuptools<80'; fi
# mmcv's build reads these from the environment that it is built in
pip install -q "$setuptools" wheel ninja psutil packaging numpy

tag=$("$venv/bin/python" -c "import sys, torch
print(f'py{sys.version_info[0]}{sys.version_info[1]}-torch{torch.__version__}')")
mmcv=$(pin "${prefix}mmcv")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mmdet_lordre/${mmcv/==/-}-$tag
mkdir -p "$cache"
# one build at a time, and whoever waited finds the wheel
exec 9>"$cache/lock"
command -v flock >/dev/null && flock 9
if ! ls "$cache"/*.whl >/dev/null 2>&1; then
  say "compiling $mmcv for $tag, about 10 minutes on 2 cores; kept in $cache"
  build=$(mktemp -d "$cache/build.XXXXXX")
  start=$SECONDS
  # Python's own flags ask for debugging symbols, which take more than half of the time.
  if ! CFLAGS="${CFLAGS:-} -g0" CXXFLAGS="${CXXFLAGS:-} -g0" MMCV_WITH_OPS=1 FORCE_CUDA=${FORCE_CUDA:-0} pip wheel --no-deps --no-build-isolation \
      "$mmcv" -w "$build" >"$cache/build.log" 2>&1; then
    tail -n 30 "$cache/build.log" >&2
    say "compiling mmcv failed; the whole log is $cache/build.log (a C++ compiler is needed)" >&2
    exit 1
  fi
  mv "$build"/*.whl "$cache/"
  rmdir "$build"
  say "mmcv compiled in $((SECONDS - start)) s"
fi
exec 9>&-
pip install -q "$cache"/*.whl -c constraints.txt
pip install -q "$(pin "${prefix}mmengine")" "$(pin "$detection")" -c constraints.txt
pip install -q --no-build-isolation -e '.[test,fast,onnx]' -c constraints.txt
if ! "$venv/bin/python" -c 'import cv2' 2>/dev/null; then
  # a server without libGL: the build of OpenCV that draws no windows
  version=$("$venv/bin/python" -c 'import importlib.metadata as m; print(m.version("opencv-python"))')
  pip uninstall -q -y opencv-python
  pip install -q "opencv-python-headless==$version"
fi
"$venv/bin/python" -c 'import mmdet_lordre'
echo "$key" >"$stamp"
say "ready"
