"""`python -m keras_se.cli` is `keras-se`."""

import sys

from keras_se.cli import main

sys.exit(main())
