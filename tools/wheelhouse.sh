#!/usr/bin/env bash
# Puts into FOLDER what tools/setup.sh installs beside torch, for a machine without the network:
#
#     tools/wheelhouse.sh FOLDER 3.12      # the version of Python there
#
# and there: PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER make gpu. NumPy, OpenCV, pandas, onnx and the
# like are large and expected there, as torch is; LARGE=1 fetches them, too, and PyAV for tests of
# films. Run `make setup` here first.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -ne 2 ]; then echo "usage: tools/wheelhouse.sh FOLDER PYTHON_VERSION" >&2; exit 2; fi
python=${VENV:-.venv}/bin/python
if ! [ -x "$python" ]; then echo "wheelhouse: no $python: run make setup, or name one with VENV=..." >&2; exit 1; fi
mkdir -p "$1"
fetch() { "$python" -m pip --disable-pip-version-check download -q --no-deps -d "$@" 2> >(grep -v '^WARNING: Location' >&2); }

# compiled there, for its torch and its GPU
fetch "$1" --no-binary :all: --no-build-isolation "$(grep ^mmcv== constraints.txt)"
"$python" - >"$1/names.txt" <<'PY'
import re
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
pins = dict(re.findall(r'(?m)^(mm\w+)==(.+)$', open('constraints.txt').read()))
project = tomllib.load(open('pyproject.toml', 'rb'))['project']
extras = project['optional-dependencies']
print('setuptools>=77,<80', *(f'{name}=={version}' for name, version in pins.items()), sep='\n')
print(*project['dependencies'], *extras['test'], *extras['fast'], *extras['onnx'], sep='\n')
# what these and mmdet's stack need, in their turn
print(*"""wheel ninja psutil packaging addict pyyaml rich markdown-it-py mdurl pygments shapely six
termcolor terminaltables tqdm yapf platformdirs iniconfig pluggy execnet sortedcontainers appdirs
markupsafe absl-py grpcio markdown protobuf tensorboard-data-server werkzeug""".split(), sep='\n')
PY
large='numpy|scipy|matplotlib|onnx|onnxruntime|pandas|seaborn|grpcio|tensorboard|protobuf'
if [ -n "${LARGE:-}" ]; then
  large=nothing
else
  # half of the folder's size, and what the tests do without: films are skipped
  sed -i -E '/^(av|ruff|tensorboard-data-server)([<>=]|$)/d' "$1/names.txt"
fi
grep -vE "^(mmcv|$large)([<>=]|$)" "$1/names.txt" >"$1/small.txt"
if [ -n "${LARGE:-}" ]; then
  printf '%s\n' contourpy cycler fonttools kiwisolver pyparsing python-dateutil pillow pandas seaborn \
    matplotlib opencv-python-headless flatbuffers ml_dtypes typing_extensions pytz tzdata >>"$1/small.txt"
fi
fetch "$1" --only-binary :all: --python-version "$2" -r "$1/small.txt"
rm "$1/small.txt"
echo "wheelhouse: $(find "$1" -type f | wc -l) files, $(du -sh "$1" | cut -f1) in $1"
