"""Where readings come from. Every source says where it stands and can go back there."""
