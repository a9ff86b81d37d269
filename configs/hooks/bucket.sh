# What the two scripts beside this one have in common. BUCKET is where the checkpoints of all runs
# go: `s3://bucket/folder` is reached by the AWS CLI, `remote:bucket/folder` by rclone. The bucket
# itself must be there. Runs are told apart by their names: two runs of one name need two folders
# in BUCKET, or each takes the other's checkpoints.
#
# Each copy has a number, one more than the last. NUMBER.files/ has its files. NUMBER.complete is
# its marker and comes last: the hashes of the files, and the checkpoint's name in the last line.
: "${BUCKET:?set BUCKET to s3://bucket/folder, or to remote:bucket/folder of rclone}"
place=${BUCKET%/}/$SUPERVISOR_HOOK_RUN

case $BUCKET in
s3://*)
    send() {
        if [ -d "$1" ]; then
            aws s3 cp --only-show-errors --recursive "$1" "$2"
        else
            aws s3 cp --only-show-errors "$1" "$2"
        fi
    }
    fetch() { aws s3 cp --only-show-errors --recursive "$1/" "$2"; }
    write() { aws s3 cp --only-show-errors - "$1"; }
    read_text() { aws s3 cp --only-show-errors "$1" -; }
    # Not `aws s3 ls`: its exit code for an empty folder is also that of a broken installation.
    names() {
        key=${place#s3://}
        found=$(aws s3api list-objects-v2 --bucket "${key%%/*}" --prefix "${key#*/}/" \
            --delimiter / --query '[Contents[].Key, CommonPrefixes[].Prefix][].[@]' \
            --output text) || return 1
        printf '%s\n' "$found" | sed 's:/$::; s:.*/::'
    }
    ;;
*:*)
    send() { rclone copyto --copy-links "$1" "$2"; }
    fetch() { rclone copy "$1" "$2"; }
    write() { rclone rcat "$1"; }
    read_text() { rclone cat "$1"; }
    # Exit code 3: there is no such folder yet. Or there is no such bucket, which is an error.
    names() {
        code=0
        rclone lsf "$place" || code=$?
        case $code in
        0) ;;
        3) rclone lsd "$(printf '%s\n' "$BUCKET" | sed 's|\(:/*[^/]*\).*|\1|')" >/dev/null ;;
        *) return 1 ;;
        esac
    }
    ;;
*)
    echo "BUCKET is $BUCKET: it must be s3://bucket/folder, or remote:bucket/folder of rclone"
    exit 1
    ;;
esac

# The numbers of the copies with a marker, among these names, from the newest on.
numbers() {
    printf '%s\n' "$1" | sed -n 's/^\([0-9][0-9]*\)\.complete$/\1/p' | sort -rn
}
