"""How things stand: a list, a person in it, the streams, everything at once. Reading changes nothing."""
