"""The jobs that workers run: fold, deliver, pull and the sweep that finds what nobody asked for."""
