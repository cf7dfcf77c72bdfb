"""The engine of spice-tui: one asyncio process per app folder that schedules, stores and serves."""

__version__ = "0.1.0"
