# One computer: the MPI launcher that stands beside the Python in use, else the one on the path; MPIEXEC overrides.
# shellcheck shell=bash disable=SC2034
launcher=${MPIEXEC:-$(dirname "$PYTHON")/mpiexec}
if [[ -z ${MPIEXEC:-} ]]; then
    if [[ -x $launcher ]]; then
        # The bundled MPICH: 32 ranks then need 34 MB of /dev/shm instead of 198, so a small container is enough.
        export MPIR_CVAR_CH4_NETMOD=ofi
    else
        launcher=$(command -v mpiexec) || die "no mpiexec beside $PYTHON nor on the path: run 'make setup' or set MPIEXEC"
    fi
fi

# launch STAGE RANKS THREADS: see run/README.md.
launch() { LAUNCH=(${2:+"$launcher" -n "$2"}); }
