"""Parts of primal-dual algorithms: h(K x) and its gap, restarts from means, a filter as metric."""
