#!/bin/sh
# The hook before_launch: where no valid checkpoint is on the disk, fetches the newest complete one
# from the bucket. If the bucket does not answer, or what it has is torn, the launch is refused.
set -eu
. "$(dirname "$0")/bucket.sh"
if [ -n "$SUPERVISOR_HOOK_NEWEST_CHECKPOINT" ]; then
    exit 0
fi
markers=$(names "$place") || exit 1
markers=$(printf '%s\n' "$markers" | sed -n 's/\.complete$//p' | sort -rV)
if [ -z "$markers" ]; then
    exit 0 # the run was never saved: it begins
fi

mkdir -p "$SUPERVISOR_HOOK_CHECKPOINT_DIR"
stage=$SUPERVISOR_HOOK_CHECKPOINT_DIR/.fetched
for name in $markers; do
    rm -rf "$stage"
    mkdir "$stage"
    fetch "$place/$name.files" "$stage"
    read_text "$place/$name.complete" >"$stage/.complete"
    if (cd "$stage" && sha256sum --quiet --check .complete); then
        if [ -e "$SUPERVISOR_HOOK_CHECKPOINT_DIR/$name" ]; then
            mv "$SUPERVISOR_HOOK_CHECKPOINT_DIR/$name" "$stage/invalid"
        fi
        mv "$stage/$name" "$SUPERVISOR_HOOK_CHECKPOINT_DIR/$name"
        [ -e "$stage/invalid" ] || rm -rf "$stage"
        echo "fetched $name"
        exit 0
    fi
    echo "$place/$name is not complete"
done
rm -rf "$stage"
echo "no checkpoint in $place is complete"
exit 1
