"""What launchers of several processes say to each of them."""

#: Environment variables by launcher: number of the process, of how many, number on its machine.
LAUNCHERS = dict(pytorch=('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
                 slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
                 mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE',
                      'OMPI_COMM_WORLD_LOCAL_RANK'))
