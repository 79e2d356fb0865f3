#!/usr/bin/env bash
# What dist_train.sh, dist_test.sh and dist_predict.sh share: launch.sh PROCESSES SCRIPT [arguments].
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
GPUS=$1
SCRIPT=$2
shift 2
NNODES=${NNODES:-1}
NODE_RANK=${NODE_RANK:-0}
PORT=${PORT:-29500}
if [ "$NNODES" != 1 ] && [ -z "${MASTER_ADDR:-}" ]; then
    echo "error: NNODES=$NNODES needs MASTER_ADDR, the address of the machine with NODE_RANK=0" >&2
    exit 2
fi
MASTER_ADDR=${MASTER_ADDR:-127.0.0.1}
case $GPUS in
    ''|*[!0-9]*|0) echo "error: the number of processes must be 1 or more, not '$GPUS'" >&2; exit 2 ;;
esac
# shellcheck source=tools/interpreter.sh
. "$HERE/interpreter.sh"
if [ -z "${OMP_NUM_THREADS:-}" ]; then
    # the processes share the cores of the machine
    CORES=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
    export OMP_NUM_THREADS=$(( CORES / GPUS > 0 ? CORES / GPUS : 1 ))
    # beside a GPU more than four take the cores from the processes that load images
    if [ "$OMP_NUM_THREADS" -gt 4 ] && nvidia-smi -L >/dev/null 2>&1; then OMP_NUM_THREADS=4; fi
fi
export MKL_NUM_THREADS=${MKL_NUM_THREADS:-$OMP_NUM_THREADS}
exec "$PYTHON" -m torch.distributed.run \
    --nnodes="$NNODES" --node_rank="$NODE_RANK" --nproc_per_node="$GPUS" \
    --master_addr="$MASTER_ADDR" --master_port="$PORT" \
    "$HERE/$SCRIPT" "$@" --launcher pytorch
