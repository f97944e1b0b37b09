"""A simulated plant: motors with pumps whose bearings, shafts, gears and sensors fail on schedule.

It is the default source of the product and, with the truth at hand, the yardstick of its tests. Pure and seeded: a
block is a function of (scenario, seed, number).
"""

from processors.simulator.course import Course, constant
from processors.simulator.scenario import (
    Accelerometer,
    BearingFault,
    GearMesh,
    Machine,
    Scenario,
    SensorFault,
    ShaftFault,
    Thermometer,
)
from processors.simulator.simulator import SimulatedBlock, Simulator, Truth

__all__ = [
    "Accelerometer",
    "BearingFault",
    "Course",
    "GearMesh",
    "Machine",
    "Scenario",
    "SensorFault",
    "ShaftFault",
    "SimulatedBlock",
    "Simulator",
    "Thermometer",
    "Truth",
    "constant",
]
