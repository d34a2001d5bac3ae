"""The owner of a GPU: one process that has the model loaded, and draws for all others over HTTP."""
