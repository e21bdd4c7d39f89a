-- An Lmod module, as an example: `module load letkf` finds the command and the interpreter that the scripts use.
-- Made by:  python3 -m venv /apps/letkf/0.2 && /apps/letkf/0.2/bin/pip install 'letkf-mpi[wmo,torch]'
help([[Cycle AI weather models with real observations: letkf --help]])
whatis("Name: letkf")
whatis("Description: PREPBUFR decoding, ensemble forecasts and an MPI LETKF")
local root = "/apps/letkf/0.2"
depends_on("cray-mpich")  -- the site's MPI, MPICH or one of its kin: the extra [mpi] is left out then
prepend_path("PATH", pathJoin(root, "bin"))
setenv("PYTHON", pathJoin(root, "bin/python"))
