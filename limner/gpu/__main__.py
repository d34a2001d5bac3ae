"""Be the owner of a GPU until SIGTERM or SIGINT.

python -m limner.gpu --port 4400 [--device cuda:0] [--host 127.0.0.1]
"""

import argparse
import logging
import sys

from limner.errors import LimnerError
from limner.gpu.serving import LOOPBACK, serve
from limner.settings import read_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--device", default="", help="empty is the best of this machine")
    parser.add_argument("--host", default=LOOPBACK, help="who may connect; a container says 0.0.0.0")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        serve(read_settings(), port=asked.port, device=asked.device, host=asked.host)
    except LimnerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
