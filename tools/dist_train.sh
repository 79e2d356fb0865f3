#!/usr/bin/env bash
# Train with several processes, one for each GPU (or, without a GPU, on the CPU over gloo):
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# Several machines: NNODES=2 NODE_RANK=0 MASTER_ADDR=10.1.1.1 PORT=29500 on the first, and
# NODE_RANK=1 with the same rest on the second.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
shift 2
exec "$(dirname "$0")/launch.sh" "$GPUS" train.py "$CONFIG" "$@"
