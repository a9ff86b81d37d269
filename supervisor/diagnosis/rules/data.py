"""What is printed when training data cannot be read; some of the words are those of checkpoints."""

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.rules.checkpoints import (
    UNREADABLE,
    UNREADABLE_REGEX,
    WEIGHTS,
    WEIGHTS_REGEX,
)
from supervisor.diagnosis.rules.rule import Calls, Rule

_OTHER_FILE = Advice(
    "A training file cannot be read: check or replace it, or skip damaged records in the loader."
)

DATA: tuple[Rule, ...] = (
    Rule(
        WEIGHTS,
        WEIGHTS_REGEX,
        Failure.DATA_CORRUPT,
        Action.RESTART,
        example="RuntimeError: PytorchStreamReader failed reading file data/12: file read failed",
        source="pytorch/pytorch, caffe2/serialize/inline_container.cc",
        advice=_OTHER_FILE,
        calls=Calls.READING,
    ),
    Rule(
        UNREADABLE,
        UNREADABLE_REGEX,
        Failure.DATA_CORRUPT,
        Action.RESTART,
        example="_pickle.UnpicklingError: pickle data was truncated",
        source="luyao777/HBP-pytorch#8",
        advice=_OTHER_FILE,
        calls=Calls.READING,
    ),
    Rule(
        (
            "image file is truncated",
            "broken data stream",
            "cannot identify image",
            "unidentifiedimageerror",
            "truncated file read",
            "arrowinvalid",
            "parquet",
            "deserialize thrift",
            "datalosserror",
            "readerror",
            "broken png",
            "invalid data found",
            "decompressionbomb",
            "lzma",
            "badgzipfile",
            "not a gzipped file",
            "end-of-stream marker",
            "datasetgenerationerror",
            "truncated",
            "corrupt",
            "checksum",
            "invalid block",
            "crc",
            "tarfile",
            "decorderror",
            "decodingerror",
            "blosc",
            "bytes for message body",
            "inflate() failed",
            "av.error.eoferror",
            "checksum failure",
            "error tokenizing data",
            "invalid jpeg",
            "invalid png",
            "unknown image file format",
            "libsndfileerror",
            "mdb_",
            "mmap length",
            "zstd",
        ),
        r"\bcouldn't deserialize thrift\b|\bimage file is truncated"
        r"|broken data stream when reading image|broken PNG file"
        r"|\bUnidentifiedImageError\b|cannot identify image file|truncated file read"
        r"|\bArrowInvalid: .{0,120}(?:parquet|magic bytes|ipc|corrupt|expected to read|footer)"
        r"|\bparquet\b.{0,80}(?:corrupt|invalid|magic bytes|footer)"
        r"|\btarfile\.(?:ReadError|TruncatedHeaderError|InvalidHeaderError)|invalid data found when"
        r" processing input|^_?lzma\.LZMAError|\bBadGzipFile\b"
        r"|compressed file ended before the end-of-stream marker"
        r"|\bInvalid (?:JPEG|PNG) data\b|\bUnknown image file format"
        r"|\bautodecode\.DecodingError\b|\bArrowInvalid: JSON parse error|\bblosc decompression\b"
        r"|\bbytes for message body, got \d"
        r"|\binflate\(\) failed|\bav\.error\.EOFError\b|: Checksum failure: "
        r"|: Error tokenizing data\b"
        r"|\bDECORDError\b"
        r"|\bLibsndfileError: .{0,300}\b(?:not recognised|unknown format|unspecified)"
        r"|\bMDB_(?:CORRUPTED|PAGE_NOTFOUND|INVALID)\b"
        r"|^ValueError: mmap length is greater than file"
        r"|^(?:zstd|zstandard)\.\S{0,40}Error: .{0,200}\b(?:decompress|corrupt|checksum)"
        r"|\bDataLossError\b|corrupted record at|\b(?:record|block|shard|sample)\b.{0,40}"
        r"\b(?:crc|checksum) (?:mismatch|error|failed)",
        Failure.DATA_CORRUPT,
        Action.RESTART,
        example="OSError: image file is truncated (44 bytes not processed)",
        source="Media-Smart/vedastr#72",
        advice=_OTHER_FILE,
        only_raised=True,
    ),
    Rule(
        (
            "unicodedecodeerror",
            ".empty() in function",
            "struct.error",
            "unterminated string",
            "expected object or value",
            "buffer is smaller than requested",
            "trailing data",
        ),
        r"^UnicodeDecodeError\b|!_?\w{0,10}\.empty\(\) in function"
        r"|^struct\.error: unpack\w* requires a buffer"
        r"|^ValueError: (?:Unterminated string|Expected object or value|Trailing data"
        r"|buffer is smaller than requested size)",
        Failure.DATA_CORRUPT,
        Action.RESTART,
        example="cv2.error: OpenCV(4.9.0) /io/opencv/modules/imgproc/src/color.cpp:196: error:"
        " (-215:Assertion failed) !_src.empty() in function 'cvtColor'",
        source="opencv/opencv, modules/imgproc/src/color.cpp",
        advice=_OTHER_FILE,
        only_raised=True,
        calls=Calls.READING,
    ),
    Rule(
        ("corrupt",),
        r"\bcorrupt(?:ed)?\b.{0,60}\b(?:data|record|page|block|file|image|archive|stream|sample)\b"
        r"|\b(?:data|record|page|block|file|image|archive|stream"
        r"|sample)\b.{0,60}\bcorrupt(?:ed)?\b",
        Failure.DATA_CORRUPT,
        Action.RESTART,
        example="OSError: Corrupt snappy compressed data.",
        source="apache/arrow, cpp/src/arrow/util/compression_snappy.cc",
        advice=_OTHER_FILE,
        only_raised=True,
        calls=Calls.READING,
    ),
)
