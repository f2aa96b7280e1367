"""Write what the JavaScript runtime knows of the protocol: python tools/protocol.py"""

from weft.runtime.files import write_file
from weft.runtime.rpc.node import RUNTIME
from weft.runtime.rpc.protocol import numbers

write_file(RUNTIME / "rpc" / "numbers.js", numbers())
