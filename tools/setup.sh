#!/usr/bin/env bash
# Sets up VENV (default .venv) with everything that the tests and the demo need.
# Done once; the second call returns at once. PYTHON names the interpreter, STACK is
# openmmlab (default) or onedl. mmcv is compiled once and kept in
# ${XDG_CACHE_HOME:-~/.cache}/mmdet_lordre, by Python, torch, mmcv version and device.
#
# DEVICE=cuda is for a machine with a GPU: PYTHON's own torch is used (TORCH=installed does that
# on any machine), and mmcv's operators are compiled for that GPU if nvcc is there
# (MMCV_CUDA=0: never). Without the network: PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER, with what
# tools/wheelhouse.sh has put there.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
stack=${STACK:-openmmlab}
device=${DEVICE:-cpu}
case $device in
cpu) venv=${VENV:-.venv} torch=${TORCH:-pinned} ;;
cuda) venv=${VENV:-.venv-cuda} torch=installed ;;
*) echo "setup: DEVICE must be cpu or cuda, not $device" >&2; exit 1 ;;
esac

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
case $torch in
pinned) ;;
installed) DEVICE=$device "$python" - <<'PY' || exit 1
import os, sys
try:
    import torch
except ImportError:
    sys.exit(f'setup: {sys.executable} has no torch; name an interpreter that has one with PYTHON=...')
if os.environ['DEVICE'] == 'cuda' and not torch.cuda.is_available():
    sys.exit(f'setup: DEVICE=cuda, but torch {torch.__version__} of {sys.executable} finds no GPU')
PY
  ;;
*) echo "setup: TORCH must be pinned or installed, not $torch" >&2; exit 1 ;;
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
key=$( (cat constraints.txt pyproject.toml setup.py tools/setup.sh
        echo "$stack $device $torch ${MMCV_CUDA:-}"; "$python" -V) | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ]; then
  exit 0
fi

pin() { grep -E "^$1==" constraints.txt; }

say "preparing $venv (${stack}; the first time about 2 minutes, and 10 more to compile mmcv)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@" 2> >(grep -v '^WARNING: Location' >&2); }
has() { "$venv/bin/python" -c "import $1" 2>/dev/null; }

constraints=constraints.txt
if [ "$torch" = installed ]; then
  # What the interpreter has is seen from here, also when it is in an environment of its own;
  # only what is missing is installed, and nothing there is touched.
  "$python" -c 'import site, sysconfig
print(*dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib"),
                      *site.getsitepackages()]), sep="\n")' \
    >"$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/_interpreter.pth"
  constraints=$venv/constraints.txt
  grep -E '^(onedl-)?mm' constraints.txt >"$constraints"
else
  # torch first and pinned: left to a dependency, pip would choose a build of several gigabytes
  pip install -q "$(pin torch)"
fi
if [ "$stack" = onedl ]; then setuptools='setuptools>=80,<82'; else setuptools='setuptools>=77,<80'; fi
# mmcv's build reads these from the environment that it is built in
pip install -q "$setuptools" wheel ninja psutil packaging numpy

mmcv=$(pin "${prefix}mmcv")
tag=$("$venv/bin/python" -c "import sys, torch
print(f'py{sys.version_info[0]}{sys.version_info[1]}-torch{torch.__version__}')")

# build_mmcv NAME WHAT SETTING...: a wheel in the cache under that name, compiled with these
# settings; fails if it cannot be compiled
build_mmcv() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/mmdet_lordre/$1 what=$2 build start=$SECONDS
  shift 2
  mkdir -p "$cache"
  # one build at a time, and whoever waited finds the wheel
  exec 9>"$cache/lock"
  if command -v flock >/dev/null; then flock 9; fi
  if ! ls "$cache"/*.whl >/dev/null 2>&1; then
    say "compiling $mmcv $what; kept in $cache"
    build=$(mktemp -d "$cache/build.XXXXXX")
    # Python's own flags ask for debugging symbols, which take more than half of the time.
    if ! env CFLAGS="${CFLAGS:-} -g0" CXXFLAGS="${CXXFLAGS:-} -g0" MMCV_WITH_OPS=1 "$@" \
        "$venv/bin/python" -m pip --disable-pip-version-check wheel --no-deps --no-build-isolation \
        "$mmcv" -w "$build" >"$cache/build.log" 2>&1; then
      tail -n 30 "$cache/build.log" >&2
      say "compiling mmcv failed after $((SECONDS - start)) s; the whole log is $cache/build.log" >&2
      rm -rf "$build"
      exec 9>&-
      return 1
    fi
    mv "$build"/*.whl "$cache/"
    rmdir "$build"
    say "mmcv compiled in $((SECONDS - start)) s"
  fi
  exec 9>&-
  pip install -q --no-deps "$cache"/*.whl
}

wanted=${mmcv/==/-}-$tag
if [ "$torch" = installed ] && has mmcv.ops; then
  say "mmcv $("$venv/bin/python" -c 'import mmcv; print(mmcv.__version__)') is there, with its operators"
else
  compiled=
  if [ "$device" = cuda ] && [ "${MMCV_CUDA:-1}" != 0 ]; then
    if command -v nvcc >/dev/null; then
      arch=$("$venv/bin/python" -c 'import torch; print("{}.{}".format(*torch.cuda.get_device_capability()))')
      if build_mmcv "$wanted-sm$arch" "for $tag and GPUs of compute capability $arch, 10 minutes or more" \
          FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST="$arch"; then
        compiled=yes
      else
        say 'going on without operators for the GPU'
      fi
    else
      say 'no nvcc: mmcv gets no operators for the GPU'
    fi
    [ -n "$compiled" ] || say 'everything but deformable convolutions runs without them'
  fi
  # mmcv compiles for a GPU wherever torch sees one
  [ -n "$compiled" ] || build_mmcv "$wanted" "for $tag, about 10 minutes on 2 cores" \
    FORCE_CUDA="${FORCE_CUDA:-0}" CUDA_VISIBLE_DEVICES= || {
    say "a C++ compiler is needed" >&2; exit 1; }
fi

if [ "$torch" = installed ] && has cv2; then
  # OpenCV is there, perhaps as another distribution than the one that these ask for by name
  pip install -q --no-deps "$(pin "${prefix}mmengine")" "$(pin "$detection")" -c "$constraints"
  [ -n "${PIP_NO_INDEX:-}" ] || pip install -q addict matplotlib pycocotools pyyaml rich scipy \
    shapely six termcolor terminaltables tqdm yapf pillow packaging -c "$constraints"
else
  pip install -q "$mmcv" "$(pin "${prefix}mmengine")" "$(pin "$detection")" -c "$constraints"
fi
if [ -n "${PIP_NO_INDEX:-}" ] && [ -f "${PIP_FIND_LINKS:-}/names.txt" ]; then
  # without the network: what tools/wheelhouse.sh has fetched, and what the interpreter has
  pip install -q --no-deps -r "$PIP_FIND_LINKS/names.txt" -c "$constraints"
  pip install -q --no-deps --no-build-isolation -e .
else
  pip install -q --no-build-isolation -e '.[test,fast,onnx]' -c "$constraints"
fi
if ! has cv2; then
  # a server without libGL: the build of OpenCV that draws no windows
  version=$("$venv/bin/python" -c 'import importlib.metadata as m; print(m.version("opencv-python"))')
  pip uninstall -q -y opencv-python
  pip install -q "opencv-python-headless==$version"
fi
"$venv/bin/python" -c 'import mmdet_lordre'
echo "$key" >"$stamp"
say "ready"
