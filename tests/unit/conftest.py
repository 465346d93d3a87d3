"""How the property tests run: time is no property here, as the machine may be busy."""

from hypothesis import settings

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
