#!/bin/sh
# The hook checkpoint_proven: copies the checkpoint into a bucket. Last of all comes a marker with
# the hashes of its files. Without the marker bucket_fetch.sh does not take the checkpoint.
set -eu
. "$(dirname "$0")/bucket.sh"
path=$SUPERVISOR_HOOK_CHECKPOINT
folder=${SUPERVISOR_HOOK_CHECKPOINT_DIR%/}
name=${path#"$folder/"} # with its subfolder: each stage of a training may have a checkpoint-10
case $name in
/*) folder=$(dirname "$path") name=$(basename "$path") ;;
esac

# What the marker says.
listing() {
    found=$(cd "$folder" && find -L "./$name" -type f -exec sha256sum {} +) || return 1
    if [ -z "$found" ]; then
        echo "$path has no files" >&2
        return 1
    fi
    printf '%s\n' "$found" | LC_ALL=C sort
    printf 'checkpoint %s\n' "$name"
}

files=$(listing)
known=$(names)
newest=$(numbers "$known" | head -n 1)
if [ -n "$newest" ] && [ "$(read_text "$place/$newest.complete")" = "$files" ]; then
    exit 0 # it is there already: a hook may be run twice
fi
# A copy without marker keeps its number, too: it may be of another checkpoint.
last=$(printf '%s\n' "$known" | sed -n 's/^\([0-9][0-9]*\)\..*/\1/p' | sort -rn | head -n 1)
number=$(printf '%06d' "$(expr "${last:-0}" + 1)")
send "$path" "$place/$number.files/$name"
if [ "$(listing)" != "$files" ]; then
    echo "$path was changed, or set aside, while it was copied"
    exit 1
fi
printf '%s\n' "$files" | write "$place/$number.complete"
