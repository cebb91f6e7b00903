# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import sys

if sys.version_info < (3, 10):
    sys.exit(
        "The demo needs Python 3.10 or newer and this is Python %s. Remove "
        ".venv and make it with a newer one: make demo PYTHON=python3.12"
        % sys.version.split()[0])
