"""The generator: spec → IR → text → compiled extension. Imports nothing of k4; k4 imports it as `k4._codegen`."""
