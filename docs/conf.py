# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import configparser
from pathlib import Path

config = configparser.ConfigParser()
config.read(Path(__file__).resolve().parent.parent / 'setup.cfg')

project = "Tryton Order Regulations"
copyright = "the contributors, GPL-3.0-or-later"
release = config['metadata']['version']
version = '.'.join(release.split('.')[:2])

exclude_patterns = ['_build']
nitpicky = True

html_theme = 'furo'
html_title = f"{project} {version}"
html_copy_source = False
