from .app import GROUPS as GROUPS
from .app import VERBS as VERBS
from .app import make_app as make_app
from .entry import main as main
