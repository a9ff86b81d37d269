# What the two scripts beside this one have in common. BUCKET is where the checkpoints of all runs
# go: `s3://bucket/folder` is reached by the AWS CLI, `remote:bucket/folder` by rclone.
: "${BUCKET:?set BUCKET to s3://bucket/folder, or to remote:bucket/folder of rclone}"
place=$BUCKET/$SUPERVISOR_HOOK_RUN

case $BUCKET in
s3://*)
    send() {
        if [ -d "$1" ]; then
            aws s3 sync --only-show-errors --delete "$1" "$2/$(basename "$1")"
        else
            aws s3 cp --only-show-errors "$1" "$2/"
        fi
    }
    fetch() { aws s3 cp --only-show-errors --recursive "$1" "$2"; }
    write() { aws s3 cp --only-show-errors - "$1"; }
    read_text() { aws s3 cp --only-show-errors "$1" -; }
    remove() { aws s3 rm --only-show-errors "$1"; }
    # Exit code 1 means that nothing is there; an error has another one.
    names() {
        found=$(aws s3 ls "$1/") || [ $? -eq 1 ] || return 1
        printf '%s\n' "$found" | sed 's/^[^ ]* *[^ ]* *[^ ]* //'
    }
    ;;
*)
    send() {
        if [ -d "$1" ]; then
            rclone sync "$1" "$2/$(basename "$1")"
        else
            rclone copy "$1" "$2"
        fi
    }
    fetch() { rclone copy "$1" "$2"; }
    write() { rclone rcat "$1"; }
    read_text() { rclone cat "$1"; }
    remove() { rclone deletefile "$1"; }
    # Exit code 3 means that the folder is not there yet.
    names() { rclone lsf --files-only "$1" || [ $? -eq 3 ]; }
    ;;
esac

# The files of a checkpoint with their hashes, for `sha256sum --check`.
listing() {
    (cd "$1" && find "$2" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
}
