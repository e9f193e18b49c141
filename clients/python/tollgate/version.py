"""The client's name and version, as it tells the gateway's operator."""

VERSION = "0.1.0"
SOFTWARE = f"tollgate-python/{VERSION}"
