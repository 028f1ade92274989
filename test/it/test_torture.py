# SPDX-License-Identifier: Apache-2.0
"""Kill -9 at random moments under load, restart, and look (torture.py tells what at). TORTURE_ROUNDS says how often, SEED plays it again."""
import os
import random

import pytest

from torture import MILD, NETWORKS, Torture

pytestmark = pytest.mark.embedded  # its crashes: those of PostgreSQL are make cluster-test's

ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "3"))
SEED = int(os.environ.get("SEED", str(random.SystemRandom().randrange(2**32))))


@pytest.mark.parametrize("network", NETWORKS)
def test_nothing_is_lost_and_nothing_happens_twice(tmp_path, network):
    print(f"SEED={SEED}")
    torture = Torture(tmp_path, SEED, networks=[network], say=print)
    try:
        for _ in range(ROUNDS):
            torture.run_round()
        if torture.server:
            if torture.server.process.returncode is not None:
                torture.start(MILD)
            torture.come_to_an_end()
            assert torture.server.stop(30) == 0
            torture.judge(ended=True)
        assert torture.orders or ROUNDS % 10 == 0
    finally:
        torture.close()
