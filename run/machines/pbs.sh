# Inside a PBS job (see run/qsub.sh): ranks by the mpiexec beside the Python in use, else by the site's; MPIEXEC overrides.
# Both read $PBS_NODEFILE by themselves: the bundled one reaches other nodes by ssh, a site's by its PBS.  What is started
# once runs on the first node.
# shellcheck shell=bash disable=SC2034
[[ -n ${PBS_NODEFILE:-} ]] || die "machine pbs: there is no job; submit run/qsub.sh, or set MACHINE=local"
launcher=${MPIEXEC:-$(dirname "$PYTHON")/mpiexec}
[[ -n ${MPIEXEC:-} || -x $launcher ]] || launcher=$(command -v mpiexec) ||
    die "no mpiexec beside $PYTHON nor on the path: load the site's MPI or set MPIEXEC"

# launch STAGE RANKS THREADS: see run/README.md.
launch() { LAUNCH=(${2:+"$launcher" -n "$2"}); }
