"""What tests of several folders share: makers of random schedules, checks of operators, and whole
toys from outside of the package (an operator's target, a front-end)."""
