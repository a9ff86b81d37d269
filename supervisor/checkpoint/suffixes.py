"""What the endings of file names say: weights, data, or neither. It reads no file."""

# What trainers' single files end with that are known by name.
SINGLE_FILE_SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors", ".bin")
# DCP's: the parts, and the file that names them and is written last.
SHARD_SUFFIX = ".distcp"
METADATA = ".metadata"
SHARDS = (SHARD_SUFFIX, METADATA)
# Names the parts of weights, as HF writes it.
INDEX_SUFFIX = ".index.json"
# Nothing but a trainer writes these; `.pt` and the like may also be tensors of a data set.
CERTAIN_ENDINGS = (
    *(suffix for suffix in SINGLE_FILE_SUFFIXES if suffix != ".bin"),
    *(".keras", ".msgpack", ".pt.tar", ".pth.tar", ".ckpt.tar", ".pdparams", ".pdopt", ".eqx"),
    *(".ubj", ".cbm", ".caffemodel", ".solverstate"),
)
ARCHIVE_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")
# Weights and data alike: something else has to speak for them.
POSSIBLE_ENDINGS = (
    *ARCHIVE_ENDINGS,
    *(".bin", ".h5", ".hdf5", ".npz", ".pkl", ".pickle", ".joblib"),
    *(".model", ".params", ".onnx", ".dat", ".mdl", ".t7", ".state", ".weights"),
)
# Tensors, of a model or of a data set.
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
