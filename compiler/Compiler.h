// Compiler: the facade of compiler/, descriptor in, text of any stage or a KernelImage out. With
// schedule/ it is all of compiler/ that other folders include.
#ifndef GPTQC_COMPILER_COMPILER_H
#define GPTQC_COMPILER_COMPILER_H

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "runtime/core/Descriptor.h"
#include "runtime/core/KernelImage.h"
#include "runtime/core/Schedule.h"
#include "runtime/core/Status.h"
#include "runtime/core/Target.h"

namespace gptqc {

/// The schedule that tuning found for a descriptor (canonical) on a target; nothing where it found
/// none. Called from several threads.
using ScheduleLookup = std::function<std::optional<Schedule>(const Descriptor &, const Target &)>;

struct CompilerOptions {
  std::string nvrtcPath; ///< libnvrtc to open; empty: the search order of compiler/jit
  std::string cacheDir;  ///< empty: the default directory of runtime/core/DiskCache
  bool useCache =
      true; ///< read and write the disk cache; it is never an error that it cannot be written
  /// Asked before the cost model when a call names no schedule. One that is no longer legal is a
  /// warning, and the cost model decides.
  ScheduleLookup tuned;
};

/// What KernelImage::cubin holds.
enum class CodeKind {
  Cubin,
  Ptx ///< text with its final NUL, for the driver's compiler; not for `a` targets, never cached
};

/// What `emit` prints. Cubins come from compileLinear.
enum class Stage {
  Gptq,  ///< the module after canonicalization and AssignSchedule
  Tile,  ///< the module that the emitter reads
  Cuda,  ///< CUDA C++ text
  Ptx,   ///< what NVRTC makes of it for the target
  Report ///< registers, shared memory, spills and launch facts, as text
};

/// Parses "gptq", "tile", "cuda", "ptx" or "report".
Result<Stage> parseStage(std::string_view text);

/// A kernel before NVRTC: its CUDA C++ text and how to launch it.
struct KernelSource {
  std::string text;
  LaunchFacts launch;
};

/// Thread-safe: every call works in its own MLIR context, and NVRTC compiles in parallel.
class Compiler {
public:
  /// Opens nothing yet: NVRTC is looked for by the first call that needs it, so that the text
  /// stages work where there is none.
  static Result<std::unique_ptr<Compiler>> create(const CompilerOptions &options);
  ~Compiler();

  /// The text of a stage. Without a schedule the cost model chooses. Gptq, Tile and Cuda need no
  /// NVRTC.
  Result<std::string> emit(const Descriptor &descriptor, const Target &target,
                           const std::optional<Schedule> &schedule, Stage stage);

  /// The text of Stage::Cuda with its launch facts. Needs no NVRTC.
  Result<KernelSource> emitKernel(const Descriptor &descriptor, const Target &target,
                                  const std::optional<Schedule> &schedule);

  /// Compiles a linear kernel, or takes it from the cache. Fails with Code::Unsupported when the
  /// schedule is not legal for the descriptor and target. A kernel whose schedule the cost model
  /// chose also fails when ptxas spills or reports C7508, C7510 or C7512.
  Result<KernelImage> compileLinear(const Descriptor &descriptor, const Target &target,
                                    const std::optional<Schedule> &schedule,
                                    CodeKind kind = CodeKind::Cubin);

  /// Equal for kernels of the same CUDA C++ text and target, which differ in their ranges of M. Of
  /// those, and at about the same time, only one is compiled. Empty for a kernel that compileLinear
  /// takes from the cache. Needs no NVRTC.
  Result<std::string> codeKey(const Descriptor &descriptor, const Target &target,
                              const std::optional<Schedule> &schedule);

  /// Compiles a support kernel, e.g. file "support/repack.cu", entry "gptqc_repack"; `defines` are
  /// `NAME=VALUE` or `NAME`. Only entry, resources and cubin of the image are set by the compiler:
  /// the caller knows the launch shape.
  Result<KernelImage> compileSupport(std::string_view file, std::string_view entry,
                                     const Target &target,
                                     std::span<const std::string> defines = {},
                                     CodeKind kind = CodeKind::Cubin);

  /// Version and commit: the part of a cache request that says who compiles.
  static std::string buildId();

  /// The schedule that compileLinear uses when it is given none.
  static Result<Schedule> defaultSchedule(const Descriptor &descriptor, const Target &target);

private:
  struct State;
  explicit Compiler(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

} // namespace gptqc

#endif // GPTQC_COMPILER_COMPILER_H
