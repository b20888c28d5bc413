"""Many pieces of work at once: on threads, processes, Dask or Ray; what is finished is kept until all are."""
