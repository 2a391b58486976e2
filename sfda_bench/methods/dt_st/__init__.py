"""DT-ST: dynamic teacher update and training-consistency-based resampling."""
