"""`python -m keras_se` is `keras-se`."""

import sys

from keras_se.cli import main

if __name__ == "__main__":
    sys.exit(main())
