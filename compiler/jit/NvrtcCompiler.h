// NvrtcCompiler: CUDA C++ text to a cubin, in process. The headers that a source may include are
// the embedded templates; nothing is read from the disk but libnvrtc itself.
#ifndef GPTQC_COMPILER_JIT_NVRTCCOMPILER_H
#define GPTQC_COMPILER_JIT_NVRTCCOMPILER_H

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/jit/PtxasLog.h"
#include "runtime/core/KernelImage.h"
#include "runtime/core/Log.h"
#include "runtime/core/Status.h"
#include "runtime/core/Target.h"

namespace gptqc {

struct NvrtcOptions {
  std::string path;     ///< libnvrtc file or folder; empty: GPTQC_NVRTC, then the search order
  int driverMajor = -1; ///< CUDA major of the driver; 0: none; -1: ask libcuda
  Log log;
};

struct NvrtcRequest {
  std::string source; ///< CUDA C++; may include the embedded templates by name
  std::string name;   ///< file name in messages, e.g. "gptqc_linear.cu"
  std::string entry;  ///< extern "C" kernel whose resources are reported; empty: the first
  Target target;
  std::vector<std::string> options; ///< added to ours, e.g. "-DNAME=VALUE"
  bool lineInfo = false;
};

struct NvrtcOutput {
  std::vector<uint8_t> cubin;
  std::string ptx;
  std::string log;                              ///< everything that NVRTC and ptxas said
  ResourceUsage resources;                      ///< of the entry
  std::vector<EntryUsage> entries;              ///< of all kernels in the source
  std::vector<std::string> performanceWarnings; ///< C7508, C7510, C7512
  double milliseconds = 0;                      ///< wall time of the compile

  /// A schedule that the compiler chose by itself must give such a kernel.
  bool spillsOrSerializes() const {
    return resources.spillStores > 0 || resources.spillLoads > 0 || !performanceWarnings.empty();
  }
};

/// Thread-safe; compiles run in parallel on the threads that ask for them.
class NvrtcCompiler {
public:
  /// Opens libnvrtc. NotFound says what was searched and how to install it.
  static Result<std::unique_ptr<NvrtcCompiler>> open(const NvrtcOptions &options);
  ~NvrtcCompiler();

  /// CompileFailed carries the first error of the log; Unsupported means that this NVRTC does not
  /// know the target.
  Result<NvrtcOutput> compile(const NvrtcRequest &request) const;

  /// Like compile, but a failure still gives the log in `log`.
  Result<NvrtcOutput> compile(const NvrtcRequest &request, std::string &log) const;

  /// SHA-256 (hex) of source, name, embedded headers, options and the libnvrtc file, whose digest
  /// is computed once. IoError when the file cannot be read.
  Result<std::string> buildKey(const NvrtcRequest &request) const;

  std::string version() const; ///< "nvrtc 13.0"
  std::string libraryPath() const;

private:
  struct State;
  explicit NvrtcCompiler(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

} // namespace gptqc

#endif // GPTQC_COMPILER_JIT_NVRTCCOMPILER_H
