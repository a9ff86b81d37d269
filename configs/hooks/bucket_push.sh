#!/bin/sh
# The hook checkpoint_proven: copies the checkpoint into a bucket. Last of all comes a marker with
# the hashes of its files. Without the marker bucket_fetch.sh does not take the checkpoint.
set -eu
. "$(dirname "$0")/bucket.sh"
path=$SUPERVISOR_HOOK_CHECKPOINT
name=$(basename "$path")
files=$(listing "$(dirname "$path")" "$name")
marker=$place/$name.complete

known=$(names "$place")
if printf '%s\n' "$known" | grep -qxF "$name.complete"; then
    if [ "$(read_text "$marker")" = "$files" ]; then
        exit 0 # it is there already: a hook may be run twice
    fi
    remove "$marker" # after a rollback another checkpoint may have the same name
fi
send "$path" "$place/$name.files"
# The checkpoint must not have changed, or been set aside, meanwhile.
[ "$(listing "$(dirname "$path")" "$name")" = "$files" ]
printf '%s\n' "$files" | write "$marker"
