"""What runs inside children and users' environments: standard library only.

Importing this package loads nothing else: a shim does it, a thousand times over.
"""
