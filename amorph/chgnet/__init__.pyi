from .batch import CHGNetBatch as CHGNetBatch
from .calculator import CHGNetCalculator as CHGNetCalculator
