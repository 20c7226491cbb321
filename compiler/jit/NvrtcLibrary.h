// Finds and opens libnvrtc with dlopen, so that one binary works with CUDA 12 and 13 and starts
// where there is neither. NvrtcCompiler is what the rest of the compiler uses.
#ifndef GPTQC_COMPILER_JIT_NVRTCLIBRARY_H
#define GPTQC_COMPILER_JIT_NVRTCLIBRARY_H

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/core/Log.h"
#include "runtime/core/Status.h"

namespace gptqc {

using NvrtcProgram = struct _nvrtcProgram *;

/// The functions of NvrtcApi.def.
struct NvrtcApi {
#define X(name, parameters) int(*name) parameters = nullptr;
#include "compiler/jit/NvrtcApi.def"
#undef X
  const char *(*nvrtcGetErrorString)(int) = nullptr;
};

struct NvrtcSearch {
  /// A libnvrtc file, or a folder that holds one (also as `nvidia/*/lib`); nothing else is tried.
  /// Empty: the environment and the usual places.
  std::string path;
  /// Folders to look in first, e.g. a project's own copy.
  std::vector<std::filesystem::path> folders;
  /// CUDA major version of the driver; 0: there is none; -1: ask libcuda.
  int driverMajor = -1;
};

/// One place where a libnvrtc may be, in the order of the search.
struct NvrtcCandidate {
  std::string file; ///< a path, or a bare name for the dynamic loader
  int major = 0;    ///< from the file's name; 0: unknown
};

/// The candidates that exist (bare names always do), best first: those whose CUDA major is at most
/// `driverMajor` before the others when a driver is there, then newer before older, then search
/// order. `searched` receives the places that were looked at.
std::vector<NvrtcCandidate> nvrtcCandidates(const NvrtcSearch &search, int driverMajor,
                                            std::vector<std::string> &searched);

/// The CUDA major version that the installed driver supports, 0 without a driver. Opens libcuda
/// only to ask; it initializes nothing.
int installedDriverMajor();

/// An open libnvrtc; stays open for the life of the process, since unloading a compiler is not
/// safe.
class NvrtcLibrary {
public:
  /// NotFound says what was searched and how to install; a library newer than the driver is a
  /// warning.
  static Result<NvrtcLibrary> open(const NvrtcSearch &search, const Log &log);

  const NvrtcApi &api() const { return functions; }
  int major() const { return versionMajor; }
  int minor() const { return versionMinor; }
  const std::filesystem::path &file() const { return path; }
  /// Compute capabilities that it compiles for, ascending, e.g. 75, 80, ... 120.
  const std::vector<int> &capabilities() const { return archs; }

private:
  static Result<NvrtcLibrary> load(const std::string &file);

  NvrtcApi functions;
  int versionMajor = 0, versionMinor = 0;
  std::filesystem::path path;
  std::vector<int> archs;
};

} // namespace gptqc

#endif // GPTQC_COMPILER_JIT_NVRTCLIBRARY_H
