"""The benchmark of imports: ours, the Singer tap and the official client, against the simulator."""
