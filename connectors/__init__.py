"""The connectors that ship with the bridge: one folder a system, the same file names in each."""
