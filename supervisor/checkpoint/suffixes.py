"""The endings of file names, by what they say of a file: weights, data, or neither."""

# The endings of single-file checkpoints whose names are known.
SINGLE_FILE_SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors", ".bin")
# DCP writes shards, and last the file that names them.
SHARD_SUFFIX = ".distcp"
METADATA = ".metadata"
SHARDS = (SHARD_SUFFIX, METADATA)
# HF's libraries write a file with this ending, which names the shards of the weights.
INDEX_SUFFIX = ".index.json"
# Only trainers write these, except that a `.pt` file may also hold tensors of a data set.
CERTAIN_ENDINGS = (
    *(suffix for suffix in SINGLE_FILE_SUFFIXES if suffix != ".bin"),
    *(".keras", ".msgpack", ".pt.tar", ".pth.tar", ".ckpt.tar", ".pdparams", ".pdopt", ".eqx"),
    *(".ubj", ".cbm", ".caffemodel", ".solverstate"),
)
ARCHIVE_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")
# Weights and data both have these endings, so another sign must show that a file is a save.
POSSIBLE_ENDINGS = (
    *ARCHIVE_ENDINGS,
    *(".bin", ".h5", ".hdf5", ".npz", ".pkl", ".pickle", ".joblib"),
    *(".model", ".params", ".onnx", ".dat", ".mdl", ".t7", ".state", ".weights"),
)
# Files of tensors, which may belong to a model or to a data set.
TENSOR_ENDINGS = (*POSSIBLE_ENDINGS, ".pt")
TEXT_ENDINGS = (".json", ".txt", ".yaml", ".yml")
NEVER_ENDINGS = (
    *(".log", ".out", ".err", ".csv", ".tsv", ".jsonl", ".md", ".html", ".pdf", ".svg", ".png"),
    *(".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".exr", ".mp4", ".avi", ".webm"),
    *(".mkv", ".mov", ".wav", ".mp3", ".flac", ".ogg", ".npy", ".arrow", ".parquet", ".feather"),
    *(".mds", ".lmdb", ".mdb", ".sqlite", ".db", ".tfrecord", ".recordio", ".idx", ".lock"),
    *(".tmp", ".temp", ".part", ".partial", ".incomplete", ".swp", ".pyc", ".py", ".sh", ".so"),
    *(".o", ".c", ".h", ".cpp", ".cu", ".ptx", ".cubin", ".whl", ".ipynb", ".wandb", ".prof"),
    *(".nsys-rep", ".core", ".toml", ".ini", ".cfg", ".xml", ".bak", ".gguf", ".tflite"),
    *(".ply", ".obj", ".glb", ".stl", ".splat"),
)
