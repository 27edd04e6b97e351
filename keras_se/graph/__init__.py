"""The graphs of functional Keras models: walked, rewritten and counted."""
