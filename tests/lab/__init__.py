"""The boot laboratory: network namespaces, virtual machines and what serves them.

Every part is a context manager. What it made (processes, namespaces, files in
its work directory) is gone when it ends, also upon an exception or Ctrl-C;
several laboratories run beside one another.
"""
