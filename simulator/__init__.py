"""A Campaign Monitor that runs here: the API v3.3 as real clients see it, with faults to order.

It shares no code with the client it tests. `simulator.server.SimulatorServer` serves it over HTTP
and `simulator.simulation.Simulator` is the same thing in-process; the control API is described in
`simulator.control`.
"""
