#!/usr/bin/env bash
# Puts into FOLDER what tools/setup.sh installs beside torch, for a machine without the network:
#
#     tools/wheelhouse.sh FOLDER 3.12      # the version of Python there
#
# and there: PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER make gpu. NumPy, OpenCV, onnx and the like are
# large and expected there, as torch is; LARGE=1 fetches them, too. Run `make setup` here first.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -ne 2 ]; then echo "usage: tools/wheelhouse.sh FOLDER PYTHON_VERSION" >&2; exit 2; fi
python=${VENV:-.venv}/bin/python
if ! [ -x "$python" ]; then echo "wheelhouse: no $python: run make setup, or name one with VENV=..." >&2; exit 1; fi
mkdir -p "$1"
fetch() { "$python" -m pip --disable-pip-version-check download -q --no-deps -d "$@" 2> >(grep -v '^WARNING: Location' >&2); }

# compiled there, for its torch and its GPU
fetch "$1" --no-binary :all: --no-build-isolation "$(grep ^mmcv== constraints.txt)"
names=$("$python" - <<'PY'
try:
    import tomllib
except ImportError:
    import tomli as tomllib
extras = tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']
for extra in ('test', 'fast'):
    print(*extras[extra], sep='\n')
PY
)
small="setuptools>=77,<80 wheel ninja psutil packaging $(grep -E '^mm(engine|det)==' constraints.txt)
addict pycocotools pyyaml rich markdown-it-py mdurl pygments shapely six termcolor terminaltables
tqdm yapf platformdirs iniconfig pluggy execnet sortedcontainers $names"
large='numpy scipy matplotlib contourpy cycler fonttools kiwisolver pyparsing python-dateutil pillow
opencv-python-headless onnx onnxruntime protobuf flatbuffers ml_dtypes typing_extensions'
[ -z "${LARGE:-}" ] || small="$small $large"
# shellcheck disable=SC2086 - one word a package
fetch "$1" --only-binary :all: --python-version "$2" $small
echo "wheelhouse: $(find "$1" -type f | wc -l) files, $(du -sh "$1" | cut -f1) in $1"
