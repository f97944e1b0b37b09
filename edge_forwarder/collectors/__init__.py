"""Where measurements come in: one module per protocol; each reads only and hands over to ``intake.Intake``."""
