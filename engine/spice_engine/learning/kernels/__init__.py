"""Arithmetic in loops, written once and compiled for the CPU and for CUDA."""
