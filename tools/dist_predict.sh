#!/usr/bin/env bash
# Predict with several processes, one for each GPU (or, without a GPU, on the CPU); each does a share:
#   tools/dist_predict.sh SOURCE MODEL GPUS [options of tools/predict.py]
# Several machines that write to one folder: NNODES, NODE_RANK, MASTER_ADDR and PORT as in
# dist_train.sh.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 SOURCE MODEL GPUS [options of tools/predict.py]" >&2
    exit 2
fi
SOURCE=$1
MODEL=$2
GPUS=$3
shift 3
exec "$(dirname "$0")/launch.sh" "$GPUS" predict.py "$SOURCE" --model "$MODEL" "$@"
