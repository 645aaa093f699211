"""The data a configuration names."""
def names():
    return ["etth1","co2"]
