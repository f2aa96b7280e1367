"""``PYTHONPATH=tests python -m node_cases``: write the list of cases that weft does not claim."""

from . import NOT_CLAIMED, node_cases, reports

found = reports()
head = f"# {len(found)} of {len(node_cases())} ONNX node cases are not claimed: case, reason.\n"
NOT_CLAIMED.write_text(head + "".join(f"{k}: {v}\n" for k, v in found.items()))
print(f"{len(found)} not claimed, {len(node_cases()) - len(found)} claimed")
