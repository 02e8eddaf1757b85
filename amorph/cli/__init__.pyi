from .app import GROUPS as GROUPS, VERBS as VERBS, make_app as make_app
from .entry import main as main
