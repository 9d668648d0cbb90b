"""The networks that metrics look at pictures with."""
