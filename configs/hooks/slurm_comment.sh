#!/bin/sh
# The hooks of slurm_comment.yaml: how the run is goes into the comment of its SLURM job.
# The hooks run side by side, so they take turns. Nothing is written over the end of the run, nor
# over a hold, before a later attempt: the file below has the attempt at the last of these.
set -eu
if [ -z "${SLURM_JOB_ID:-}" ]; then
    exit 0
fi
last=$SUPERVISOR_HOOK_RUN_DIR/.slurm_comment
exec 9>>"$last"
flock 9
attempt=${SUPERVISOR_HOOK_ATTEMPT:-0}
case $SUPERVISOR_HOOK_EVENT in
checkpoint_proven) text="saved at step $SUPERVISOR_HOOK_STEP" ;;
attempt_ended) text="attempt $attempt ended: $SUPERVISOR_HOOK_FAILURE" ;;
held) text="held: $SUPERVISOR_HOOK_REASON" ;;
*) text=$SUPERVISOR_HOOK_EVENT ;;
esac
case $SUPERVISOR_HOOK_EVENT in
held | finished) echo "$attempt" >"$last" ;;
*)
    if [ -s "$last" ] && [ "${attempt:-0}" -le "$(cat "$last")" ]; then
        exit 0
    fi
    ;;
esac
timeout 20 scontrol update "JobId=$SLURM_JOB_ID" "Comment=$SUPERVISOR_HOOK_RUN: $text" ||
    echo "a job that is being cancelled takes no comment" # any other error is above this line
