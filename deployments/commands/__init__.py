"""The command line's sub-commands: one module each, light to import; what is heavy is imported when it is used."""
