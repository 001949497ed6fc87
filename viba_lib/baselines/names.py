"""Names that tables of the compared methods use, without the methods."""

VIBA = "VIBA"
CONTROLS = ("Random", "Centre prior", "Edges")  # do not depend on the network
