# Sourced by launch.sh and slurm.sh: sets PYTHON to the interpreter that the scripts run with, and
# says which. PYTHON=... chooses another. An active environment comes first, then .venv beside the
# scripts (`make` puts everything there), and only then what happens to come first on PATH.
if [ -z "${PYTHON:-}" ]; then
    for candidate in "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" \
            "${CONDA_PREFIX:+$CONDA_PREFIX/bin/python}" "$HERE/../.venv/bin/python" \
            "$(command -v python || true)" "$(command -v python3 || true)"; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then
            PYTHON=$candidate
            break
        fi
    done
    if [ -z "${PYTHON:-}" ]; then
        echo "error: no Python found: activate its environment, or name it by PYTHON=..." >&2
        exit 1
    fi
    echo "interpreter: $PYTHON (another by PYTHON=...)" >&2
fi
