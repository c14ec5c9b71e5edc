"""`python -m proxlab`."""

import sys

from proxlab.commands.main import main

sys.exit(main())
