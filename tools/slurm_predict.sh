#!/usr/bin/env bash
# Predict under Slurm, each process a share:
#   GPUS=8 tools/slurm_predict.sh PARTITION JOB_NAME SOURCE MODEL [options of tools/predict.py]
set -euo pipefail
if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME SOURCE MODEL [options of tools/predict.py]" >&2
    exit 2
fi
exec "$(dirname "$0")/slurm.sh" "$1" "$2" predict.py "$3" --model "$4" "${@:5}"
