#!/bin/sh
# The hooks of slurm_comment.yaml: how the run is goes into the comment of its SLURM job.
set -eu
if [ -z "${SLURM_JOB_ID:-}" ]; then
    exit 0
fi
case $SUPERVISOR_HOOK_EVENT in
checkpoint_proven) text="saved at step $SUPERVISOR_HOOK_STEP" ;;
attempt_ended) text="attempt $SUPERVISOR_HOOK_ATTEMPT ended: $SUPERVISOR_HOOK_FAILURE" ;;
held) text="held: $SUPERVISOR_HOOK_REASON" ;;
*) text=$SUPERVISOR_HOOK_EVENT ;;
esac
scontrol update "JobId=$SLURM_JOB_ID" "Comment=$SUPERVISOR_HOOK_RUN: $text" ||
    echo "a job that is being cancelled takes no comment" # any other error is above this line
