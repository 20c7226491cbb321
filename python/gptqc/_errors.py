"""The exceptions of the package. Each holds the one line that the library says: what failed, on what, and what to
do. They are also subclasses of the built-in exception that comes closest."""


class Error(Exception):
    """Whatever gptqc raises."""


class InvalidArgumentError(Error, ValueError):
    """The caller's mistake: a wrong type, shape, option or descriptor."""


class UnsupportedError(Error, NotImplementedError):
    """Valid, but this path does not do it; the message names one that does."""


class NotFoundError(Error, LookupError):
    """A file, tensor, kernel or library (NVRTC) is not there."""


class CompileError(Error, RuntimeError):
    """The kernel compiler refused."""


class DeviceError(Error, RuntimeError):
    """The CUDA driver reported an error, or there is no GPU."""


class CorruptDataError(Error, ValueError):
    """A file does not hold what its format promises."""


class InputOutputError(Error, OSError):
    """The operating system refused a read or write."""


class InternalError(Error, RuntimeError):
    """A bug of gptqc, or no memory left."""


# The codes of gptqc.h; the extension module raises BY_CODE[code](message).
BY_CODE = {
    1: InvalidArgumentError, 2: UnsupportedError, 3: NotFoundError, 4: CompileError, 5: DeviceError,
    6: CorruptDataError, 7: InputOutputError, 8: InternalError,
}
