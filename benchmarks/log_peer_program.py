"""Runs in the peer's place: NVIDIA's restart agent without a model, on each file that stdin names.

It prints one JSON object for each file. It imports nothing of ours.
"""

import json
import sys
import time
from typing import Any

from nvidia_resiliency_ext.attribution.restart_agent import (
    InMemoryAttemptRecordStore,
    RestartAgent,
    RestartAgentRequest,
    RestartAgentRuntime,
)


def verdict(path: str) -> dict[str, Any]:
    """The decision of a first attempt: no history, no model, only what the log says."""
    began = time.perf_counter()
    runtime = RestartAgentRuntime(
        RestartAgent(evidence_extractor=None), attempt_record_store=InMemoryAttemptRecordStore()
    )
    run = runtime.analyze_one(RestartAgentRequest(log_path=path, job_id="benchmark", cycle_id=0))
    published = run.result.primary_failure or run.result.selected_observed_failure
    found = None
    if run.bundle is not None:
        found = run.bundle.deterministic_primary_candidate or run.bundle.selected_observed_failure
    return {
        "decision": getattr(run.result.decision, "value", run.result.decision),
        "class": None if published is None else published["failure_class"],
        "line": None if found is None else (found.quote or found.signature),
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    """Answer for each path until stdin ends."""
    for line in sys.stdin:
        print(json.dumps(verdict(line.rstrip("\n"))), flush=True)


if __name__ == "__main__":
    main()
