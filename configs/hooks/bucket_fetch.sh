#!/bin/sh
# The hook before_launch: where no valid checkpoint is on the disk, fetches the newest complete copy
# from the bucket. If the bucket does not answer, or no copy is complete, the launch is refused.
set -eu
. "$(dirname "$0")/bucket.sh"
folder=$SUPERVISOR_HOOK_CHECKPOINT_DIR
if [ -n "${SUPERVISOR_HOOK_UNMOUNTED:-}" ]; then
    echo "nothing is mounted at $SUPERVISOR_HOOK_UNMOUNTED, where the checkpoints were"
    exit 1
fi
if [ -n "$SUPERVISOR_HOOK_NEWEST_CHECKPOINT" ] || [ -n "${SUPERVISOR_HOOK_FROM_NOTHING:-}" ]; then
    exit 0
fi
known=$(names) || exit 1
markers=$(numbers "$known")
if [ -z "$markers" ]; then
    exit 0 # the run was never saved: it begins
fi

# The name of the checkpoint in this folder, if all its files are as they were.
whole() (
    cd "$1" || exit 1
    name=$(sed -n '$s/^checkpoint //p' .complete)
    [ -n "$name" ] && sed '$d' .complete | sha256sum --quiet --check >&2 && printf '%s\n' "$name"
)

mkdir -p "$folder"
stage=$folder/.fetched
for number in $markers; do
    rm -rf "$stage"
    mkdir "$stage"
    if read_text "$place/$number.complete" >"$stage/.complete" &&
        fetch "$place/$number.files" "$stage" && name=$(whole "$stage"); then
        mkdir -p "$(dirname "$folder/$name")"
        if [ -e "$folder/$name" ]; then
            aside=$(mktemp -d "$folder/.invalid-XXXXXX")
            mv "$folder/$name" "$aside/invalid"
            echo "$folder/$name was there already and is now $aside/invalid"
        fi
        mv "$stage/$name" "$folder/$name"
        rm -rf "$stage"
        echo "fetched $name, copy $number"
        exit 0
    fi
    echo "copy $number in $place cannot be read, or is not complete"
done
rm -rf "$stage"
echo "no copy in $place is complete"
exit 1
